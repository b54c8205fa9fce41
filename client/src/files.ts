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

/** Reads a padded body from its start to its end, holding no more than one piece. */
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

  /** The next `size` bytes, or what is left. */
  async read(size: number): Promise<Bytes> {
    const piece = new Uint8Array(Math.min(size, this.#left));
    this.#left -= piece.length;
    let filled = 0;
    for (let file = this.#files[this.#index]; file !== undefined && filled < piece.length; file = this.#files[this.#index]) {
      const count = Math.min(piece.length - filled, file.size - this.#offset);
      if (count > 0) {
        const slice = await readSlice(file, this.#index, this.#offset, this.#offset + count);
        piece.set(slice, filled);
        slice.fill(0);
      }
      filled += count;
      this.#offset += count;
      if (this.#offset === file.size) {
        this.#index++;
        this.#offset = 0;
      }
    }
    return piece;
  }
}
