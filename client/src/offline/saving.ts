// Saving sealed files: by the browser's downloads, or into one file on the disk where the browser can stream to it. What
// was saved is kept for saving it again, as long as it is little.

import { TipboxError } from "../errors.js";
import type { Bytes } from "../formats/base/bytes.js";
import { element } from "../page/screen.js";
import type { Piece } from "./shelf.js";

/** Bytes of a file that is made in memory at most; a larger one needs a browser that writes it as it is made. */
export const LARGEST_IN_MEMORY = 64_000_000;
/** Bytes of saved files that are held at most, beside the last one: a browser needs several times as many. */
const MOST_HELD = 16_000_000;
/**
 * Milliseconds until a file may be released: no event says when the browser has taken it. Chromium does so with the
 * click, and Firefox keeps what it has begun to read.
 */
const RELEASE_AFTER = 4000;

/** Offers `blob` as a download, as a click on a link does; returns the address to release. */
export function offer(name: string, blob: Blob): string {
  const url = URL.createObjectURL(blob);
  const link = element("a");
  link.href = url;
  link.download = name;
  link.click();
  return url;
}

/** One file that was saved. */
export class SavedFile {
  readonly since = performance.now();
  /** Is called when it can no longer be saved again. */
  onReleased: () => void = () => undefined;
  #url: string | null;
  #drop: () => void;

  constructor(
    readonly name: string,
    readonly size: number,
    { blob, drop }: Piece,
  ) {
    this.#url = offer(name, blob);
    this.#drop = drop;
  }

  get isHeld(): boolean {
    return this.#url !== null;
  }

  /** Saves it once more. */
  again(): void {
    if (this.#url === null) return;
    const link = element("a");
    link.href = this.#url;
    link.download = this.name;
    link.click();
  }

  release(): void {
    if (this.#url === null) return;
    URL.revokeObjectURL(this.#url);
    this.#url = null;
    this.#drop();
    this.#drop = () => undefined;
    this.onReleased();
  }
}

/** The files of one tip, saved one after the other. */
export class Saved {
  readonly files: SavedFile[] = [];

  /** Saves one more. Returns when there is room for the next: what was saved first is released then. */
  async add(name: string, piece: Piece): Promise<void> {
    this.files.push(new SavedFile(name, piece.blob.size, piece));
    for (const file of this.files) {
      if (this.#held <= MOST_HELD || file === this.files.at(-1)) return;
      if (!file.isHeld) continue;
      const wait = RELEASE_AFTER - (performance.now() - file.since);
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      file.release();
    }
  }

  get #held(): number {
    return this.files.reduce((sum, { isHeld, size }) => sum + (isHeld ? size : 0), 0);
  }

  release(): void {
    for (const file of this.files) file.release();
  }
}

/** What this uses of the File System Access API, which Chromium alone has. */
interface Picking {
  readonly showSaveFilePicker?: (options: { readonly suggestedName: string }) => Promise<{
    readonly createWritable: () => Promise<{
      readonly write: (bytes: Bytes) => Promise<void>;
      readonly close: () => Promise<void>;
      readonly abort: () => Promise<void>;
    }>;
  }>;
}

const picking = globalThis as Picking;

/** Whether this browser writes a file as it is made. */
export function canStream(): boolean {
  return picking.showSaveFilePicker !== undefined;
}

/** Asks where to write a file; it writes chunks there, all of them or nothing. `null` when nobody chose a place. */
export async function askPlace(name: string): Promise<((chunks: AsyncIterable<Bytes>) => Promise<void>) | null> {
  const handle = await picking.showSaveFilePicker?.({ suggestedName: name }).catch(() => null);
  if (handle === null || handle === undefined) return null;
  return async (chunks) => {
    const file = await handle.createWritable();
    try {
      for await (const chunk of chunks) await file.write(chunk);
      await file.close();
    } catch (error) {
      await file.abort().catch(() => undefined);
      throw error instanceof TipboxError ? error : new TipboxError("full");
    }
  };
}
