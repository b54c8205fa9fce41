// Byte strings: joining, comparing, and the two spellings that the formats use (docs/format.md, section 1).

/** Bytes that WebCrypto and fetch take as they are. */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();

/** The UTF-8 bytes of a text. */
export function utf8(text: string): Bytes {
  return new Uint8Array(encoder.encode(text));
}

/** The text of UTF-8 bytes, or `null` when they are not UTF-8. A byte order mark stays. */
export function fromUtf8(bytes: Bytes): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** All the pieces joined. */
export function concat(...pieces: readonly Uint8Array[]): Bytes {
  const joined = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    joined.set(piece, offset);
    offset += piece.length;
  }
  return joined;
}

/** `size` bytes at the start of `room` if it is large enough, else of new memory. */
export function allocate(size: number, room: ArrayBuffer = new ArrayBuffer(0)): Bytes {
  return new Uint8Array(room.byteLength < size ? new ArrayBuffer(size) : room, 0, size);
}

/**
 * Gives the memory behind `bytes` back now, not at the next garbage collection; `bytes` is empty afterwards. Firefox
 * then uses the same memory again, which it need not fault in: it seals a quarter faster. Browsers of before 2024 do
 * nothing here.
 */
export function release(bytes: Bytes): void {
  bytes.buffer.transfer?.(0);
}

/** Whether two byte strings are equal, in a time that depends on their lengths only. */
export function equal(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let i = 0; i < one.length; i++) difference |= (one[i] ?? 0) ^ (other[i] ?? 0);
  return difference === 0;
}

/** Whether all bytes are zero. */
export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Below 0, 0 or above 0 as `one` sorts before, with or after `other`. */
export function compare(one: Uint8Array, other: Uint8Array): number {
  for (let i = 0; i < Math.min(one.length, other.length); i++) {
    const difference = (one[i] ?? 0) - (other[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes of lower-case hex, or `null`. */
export function fromHex(text: string): Bytes | null {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) return null;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Standard padded base64. */
export function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** The bytes of standard padded base64, or `null`: one spelling only, checked by encoding again. */
export function fromBase64(text: string): Bytes | null {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    return null;
  }
  return btoa(binary) === text ? Uint8Array.from(binary, (char) => char.charCodeAt(0)) : null;
}

/** Unsigned big-endian integers of 1, 2 or 4 bytes. */
export function uint(value: number, size: 1 | 2 | 4): Bytes {
  const bytes = new Uint8Array(size);
  for (let i = size - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  return bytes;
}
