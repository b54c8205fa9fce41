// The list that answers a mailbox token (docs/protocol.md, section 3.1): which replies there are, and the letters that fit.

import { type Bytes, compare, isZero, toHex } from "./bytes.js";
import type { Day } from "./days.js";
import { demand } from "./errors.js";
import { ENTRY_SIZE, HASH_SIZE, LIST_HEADER, LIST_SIZE, MAILBOX_MAGIC, MAX_REPLIES, VERSION } from "./limits.js";

/** One reply in a mailbox, still sealed. */
export interface Entry {
  /** Its Envelope id, as the server has it. */
  readonly id: Bytes;
  /** When it was deposited, as the server has it. */
  readonly day: Day;
  /** Bytes of the Envelope. */
  readonly size: number;
  /** Bytes of its header and letter. */
  readonly frontSize: number;
  /** Header ‖ letter, when they fitted into the list. */
  readonly front: Bytes | null;
}

/** Reads a list. Throws `not-tipbox`, `version`, `limit` or `malformed`. */
export function parseList(bytes: Bytes): Entry[] {
  demand(bytes.length === LIST_SIZE, "malformed");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  demand([...MAILBOX_MAGIC].every((char, i) => bytes[i] === char.charCodeAt(0)), "not-tipbox");
  demand(bytes[8] === VERSION, "version");
  const count = view.getUint16(10);
  const enclosed = view.getUint16(12);
  demand(count <= MAX_REPLIES && enclosed <= count, "limit");
  demand(bytes[9] === 0 && view.getUint16(14) === 0, "malformed");
  let offset = LIST_HEADER + count * ENTRY_SIZE;
  const entries = Array.from({ length: count }, (_, i): Entry => {
    const at = LIST_HEADER + i * ENTRY_SIZE;
    const size = view.getBigUint64(at + HASH_SIZE + 4);
    const frontSize = view.getUint32(at + HASH_SIZE + 12);
    demand(size <= BigInt(Number.MAX_SAFE_INTEGER) && 0 < frontSize && BigInt(frontSize) <= size, "malformed");
    let front: Bytes | null = null;
    if (i < enclosed) {
      demand(offset + frontSize <= bytes.length, "malformed");
      front = bytes.slice(offset, (offset += frontSize));
    }
    return { id: bytes.slice(at, at + HASH_SIZE), day: view.getUint32(at + HASH_SIZE), size: Number(size), frontSize, front };
  });
  demand(isZero(bytes.subarray(offset)), "malformed");
  demand(new Set(entries.map(({ id }) => toHex(id))).size === count, "malformed");
  demand(entries.every((entry, i) => i === 0 || inOrder(entries[i - 1] ?? entry, entry)), "malformed");
  return entries;
}

/** Newest day first, those of one day by id. */
function inOrder(one: Entry, next: Entry): boolean {
  return one.day > next.day || (one.day === next.day && compare(one.id, next.id) < 0);
}
