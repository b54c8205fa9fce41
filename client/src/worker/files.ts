// The plaintext of a body: the chosen files one after the other, then zeros. Each slice of a file is read exactly once:
// a file that changes in between can never be sealed twice under one nonce.

import { TipboxError } from "../errors.js";
import { allocate, type Bytes } from "../formats/base/bytes.js";

/** A chosen file is gone or has changed; `index` says which. */
export class FileError extends TipboxError {
  constructor(
    override readonly code: "file-unreadable" | "file-changed",
    readonly index: number,
  ) {
    super(code);
  }
}

/**
 * Fills `target` with the bytes of `blob`; returns it with the number of bytes that there were. A byte stream takes the
 * buffer over and returns it, which avoids most of the cost of `arrayBuffer()` and new memory for every slice.
 */
async function fill(target: Bytes, blob: Blob): Promise<[filled: Bytes, read: number]> {
  const stream = blob.stream();
  let reader: ReadableStreamBYOBReader;
  try {
    reader = stream.getReader({ mode: "byob" });
  } catch {
    return [target, await copy(target, stream.getReader())]; // not every browser makes Blobs into byte streams
  }
  const { byteOffset, length } = target;
  let { buffer } = target;
  let read = 0;
  while (read < length) {
    const { value, done } = await reader.read(new Uint8Array(buffer, byteOffset + read, length - read));
    // Only a cancelled stream loses the buffer, and nobody cancels it.
    if (value === undefined) throw new TipboxError("internal");
    buffer = value.buffer;
    read += value.length;
    if (done) break;
  }
  await reader.cancel(); // closes the file now, not at the next garbage collection
  return [new Uint8Array(buffer, byteOffset, length), read];
}

async function copy(target: Bytes, reader: ReadableStreamDefaultReader<Bytes>): Promise<number> {
  let read = 0;
  while (true) {
    const { value, done } = await reader.read();
    if (done) return read;
    if (read + value.length <= target.length) target.set(value, read);
    read += value.length;
    value.fill(0);
  }
}

/** Reads a slice into `target`, whose buffer this takes over. Wipes what was read if it throws. */
async function readSlice(target: Bytes, file: Blob, index: number, start: number): Promise<Bytes> {
  const { buffer, length } = target; // `target` is detached once its buffer is taken over
  let filled: Bytes;
  let read: number;
  try {
    [filled, read] = await fill(target, file.slice(start, start + length));
  } catch {
    wipe(buffer);
    throw new FileError("file-unreadable", index);
  }
  if (read !== length) {
    wipe(filled.buffer);
    throw new FileError("file-changed", index);
  }
  return filled;
}

/** Zeros a buffer, unless it was lost in a stream that failed: then nothing can reach it any more. */
function wipe(buffer: ArrayBuffer): void {
  if (buffer.byteLength > 0) new Uint8Array(buffer).fill(0);
}

/** Throws a `FileError` for the first file that cannot be read; reads one byte of each. */
export async function probe(files: readonly Blob[]): Promise<void> {
  for (const [index, file] of files.entries()) await readSlice(new Uint8Array(Math.min(1, file.size)), file, index, 0);
}

interface Slice {
  readonly index: number;
  readonly start: number;
  readonly size: number;
}

/** Reads a padded body from its start to its end, piece by piece. */
export class BodyReader {
  readonly #files: readonly Blob[];
  #index = 0;
  #offset = 0;
  #left: number;
  readonly #padded: number;

  /** `padded` is the size of the body in bytes, zeros included. */
  constructor(files: readonly Blob[], padded: number) {
    this.#files = files;
    this.#left = padded;
    this.#padded = padded;
  }

  /** Bytes that were not asked for yet. */
  get left(): number {
    return this.#left;
  }

  /**
   * The next `size` bytes, or what is left, in new memory or in `room`, which this takes over. Which bytes these are is
   * decided before this returns, so that calls that overlap never read a byte twice.
   */
  read(size: number, room?: ArrayBuffer): Promise<Bytes> {
    const length = Math.min(size, this.#left);
    return this.#gather(allocate(length, room), this.#take(length));
  }

  /** Passes over what lies before this byte of the body; nothing of it is read. */
  skipTo(offset: number): void {
    this.#take(Math.max(0, this.#left - (this.#padded - offset)));
  }

  #take(length: number): Slice[] {
    this.#left -= length;
    const slices: Slice[] = [];
    let planned = 0;
    for (let file = this.#files[this.#index]; file !== undefined && planned < length; file = this.#files[this.#index]) {
      const count = Math.min(length - planned, file.size - this.#offset);
      if (count > 0) slices.push({ index: this.#index, start: this.#offset, size: count });
      planned += count;
      this.#offset += count;
      if (this.#offset === file.size) {
        this.#index++;
        this.#offset = 0;
      }
    }
    return slices;
  }

  async #gather(piece: Bytes, slices: readonly Slice[]): Promise<Bytes> {
    const { length } = piece;
    let { buffer } = piece;
    let filled = 0;
    for (const { index, start, size } of slices) {
      const target = new Uint8Array(buffer, filled, size);
      ({ buffer } = await readSlice(target, this.#files[index] ?? new Blob([]), index, start));
      filled += size;
    }
    return new Uint8Array(buffer, 0, length).fill(0, filled);
  }
}
