// The plaintext of a body: the chosen files one after the other, then zeros. Each slice of a file is read once.

import type { Bytes } from "./bytes.js";
import { TipboxError } from "./errors.js";

/** A chosen file could not be read as it was when it was chosen; `index` says which. */
export class FileError extends TipboxError {
  constructor(
    code: "file-unreadable" | "file-changed",
    readonly index: number,
  ) {
    super(code);
  }
}

async function readSlice(file: Blob, index: number, start: number, end: number): Promise<Bytes> {
  let bytes: Bytes;
  try {
    bytes = new Uint8Array(await file.slice(start, end).arrayBuffer());
  } catch {
    throw new FileError("file-unreadable", index);
  }
  if (bytes.length !== end - start) throw new FileError("file-changed", index);
  return bytes;
}

/** Throws a `FileError` for the first file that cannot be read; looks at one byte of each. */
export async function probe(files: readonly Blob[]): Promise<void> {
  for (const [index, file] of files.entries()) await readSlice(file, index, 0, Math.min(1, file.size));
}

interface Slice {
  readonly index: number;
  readonly start: number;
  readonly end: number;
}

/** Reads a padded body from its start to its end, piece by piece. */
export class BodyReader {
  readonly #files: readonly Blob[];
  #index = 0;
  #offset = 0;
  #left: number;

  /** `padded` is the size of the body in bytes, zeros included. */
  constructor(files: readonly Blob[], padded: number) {
    this.#files = files;
    this.#left = padded;
  }

  /** Bytes that nobody has asked for yet. */
  get left(): number {
    return this.#left;
  }

  /** The next `size` bytes, or what is left. Pieces may be asked for before the ones in front of them have come. */
  read(size: number): Promise<Bytes> {
    const length = Math.min(size, this.#left);
    this.#left -= length;
    const slices: Slice[] = [];
    let planned = 0;
    for (let file = this.#files[this.#index]; file !== undefined && planned < length; file = this.#files[this.#index]) {
      const count = Math.min(length - planned, file.size - this.#offset);
      if (count > 0) slices.push({ index: this.#index, start: this.#offset, end: this.#offset + count });
      planned += count;
      this.#offset += count;
      if (this.#offset === file.size) {
        this.#index++;
        this.#offset = 0;
      }
    }
    return this.#gather(length, slices);
  }

  async #gather(length: number, slices: readonly Slice[]): Promise<Bytes> {
    const [first] = slices;
    if (first !== undefined && first.end - first.start === length) return this.#slice(first);
    const piece = new Uint8Array(length);
    let filled = 0;
    for (const slice of slices) {
      const bytes = await this.#slice(slice);
      piece.set(bytes, filled);
      filled += bytes.length;
      bytes.fill(0);
    }
    return piece;
  }

  #slice({ index, start, end }: Slice): Promise<Bytes> {
    return readSlice(this.#files[index] ?? new Blob([]), index, start, end);
  }
}
