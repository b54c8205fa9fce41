// Sealed pieces of a large tip until the browser has saved them, in the folder that it keeps on the disk for a page (OPFS).
// What Firefox saves from memory its first process keeps until it collects garbage, gigabytes of it, and no page can have
// it do so; what it saves from this folder it reads from the disk (docs/performance.md). Nothing but sealed bytes comes
// here. Private windows have no such folder, and so Tor Browser has none: there pieces stay in memory.

import type { Bytes } from "../formats/base/bytes.js";
import { newMark } from "../formats/envelopes/pieces.js";

/**
 * Bytes of a tip from which on its pieces pass through the folder. In an ordinary window something of it stays in the
 * browser's profile, with the page's path: of a small tip nothing does.
 */
export const LARGE = 128_000_000;
/**
 * Bytes that are asked for with each piece and never touched, so they cost no memory. Chromium lets go of a piece's bytes
 * when it next collects garbage, and knows nothing of how many they are; of this it knows (docs/performance.md).
 */
const UNTOUCHED = 64_000_000;
/** Milliseconds after which what lies there is what a tab has left that ended before it could: pieces live seconds. */
const OLD = 3_600_000;
const TYPE = "application/octet-stream";

/** A piece that can be saved. */
export interface Piece {
  readonly blob: Blob;
  /** Lets go of it. */
  readonly drop: () => void;
}

/** Takes sealed bytes, which are overwritten afterwards, and makes a piece of them. */
export interface Making {
  readonly add: (run: Bytes) => void;
  readonly end: (head: Bytes) => Promise<Piece>;
}

function held(chunks: readonly BlobPart[]): Piece {
  return { blob: new Blob([...chunks], { type: TYPE }), drop: () => undefined };
}

function askForCollection(): void {
  try {
    void new ArrayBuffer(UNTOUCHED);
  } catch {
    // A device that has no room for it collects by itself.
  }
}

export function inMemory(): Making {
  const runs: Blob[] = [];
  return {
    add: (run) => void runs.push(new Blob([run])),
    end: async (head) => {
      askForCollection();
      return held([head, ...runs]);
    },
  };
}

/** Deletes what was left there. */
async function sweep(folder: FileSystemDirectoryHandle): Promise<void> {
  for await (const one of folder.values()) {
    if (one.kind !== "file") continue;
    // Another tab may have taken it away, or be writing it.
    const since = await one.getFile().then(
      ({ lastModified }) => Date.now() - lastModified,
      () => 0,
    );
    if (since > OLD) await folder.removeEntry(one.name).catch(() => undefined);
  }
}

export class Shelf {
  readonly #folder: FileSystemDirectoryHandle;
  /** Names of this tip's own: several tabs may seal at once. */
  readonly #mark = newMark();
  #count = 0;

  private constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
  }

  /** `null` where the browser has no folder for a page: in a private window. To ask for it makes it. */
  static async open(): Promise<Shelf | null> {
    try {
      const folder = await navigator.storage.getDirectory();
      await sweep(folder);
      return new Shelf(folder);
    } catch {
      return null;
    }
  }

  making(): Making {
    const runs: Bytes[] = [];
    return {
      add: (run) => void runs.push(run.slice()),
      end: async (head) => {
        const piece = (await this.#laid([head, ...runs])) ?? held([head, ...runs]);
        runs.length = 0; // whoever holds the piece would hold them as well
        return piece;
      },
    };
  }

  /** A piece that lies in the folder; `null` when there is no room. */
  async #laid(chunks: readonly Bytes[]): Promise<Piece | null> {
    const name = `${this.#mark}-${this.#count++}`;
    const drop = (): void => void this.#folder.removeEntry(name).catch(() => undefined);
    try {
      const handle = await this.#folder.getFileHandle(name, { create: true });
      const file = await handle.createWritable();
      for (const chunk of chunks) await file.write(chunk);
      await file.close();
      return { blob: await handle.getFile(), drop };
    } catch {
      drop();
      return null;
    }
  }
}
