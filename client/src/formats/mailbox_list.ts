// The list that answers a request for mailboxes (docs/protocol.md, section 3.1): which replies there are, and the
// letters that fit.

import { demand } from "../errors.js";
import { type Bytes, compare, isZero, toHex } from "./base/bytes.js";
import { type Day, LAST_DAY } from "./base/days.js";
import {
  ENTRY_SIZE,
  HASH_SIZE,
  HEADER_FIXED,
  LETTER_BUCKETS,
  LIST_HEADER,
  LIST_SIZE,
  MAILBOX_MAGIC,
  MAILBOX_TOKENS,
  MAX_LETTER,
  MAX_REPLIES,
  MAX_REPLY,
  TAG_SIZE,
  VERSION,
} from "./base/limits.js";

const MAGIC = Uint8Array.from(MAILBOX_MAGIC, (char) => char.charCodeAt(0));
const SMALLEST_OPENING = HEADER_FIXED + (LETTER_BUCKETS[0] ?? 0) + TAG_SIZE;
const LARGEST_OPENING = HEADER_FIXED + MAX_LETTER + TAG_SIZE;
/** Where the place of a token stands in an entry; zeros follow. */
const PLACE = HASH_SIZE + 16;

/** One reply in a mailbox, as the server has it. */
export interface Entry {
  /** The Envelope id. */
  readonly id: Bytes;
  /** The day of the deposit. */
  readonly day: Day;
  /** Bytes of the Envelope. */
  readonly size: number;
  /** Bytes of its header ‖ letter. */
  readonly openingSize: number;
  /** The place of the token whose mailbox it lies in, among those of the request, from 0. */
  readonly place: number;
}

/** The replies of the mailboxes asked for; `openings` are header ‖ letter of the first of them. */
export interface MailboxList {
  readonly entries: readonly Entry[];
  readonly openings: readonly Bytes[];
}

function parseEntry(row: Bytes): Entry {
  const view = new DataView(row.buffer, row.byteOffset, row.length);
  const day = view.getUint32(HASH_SIZE);
  const size = view.getBigUint64(HASH_SIZE + 4);
  const openingSize = view.getUint32(HASH_SIZE + 12);
  const place = row[PLACE] ?? 0;
  demand(day <= LAST_DAY && size <= BigInt(MAX_REPLY), "malformed");
  demand(place < MAILBOX_TOKENS && isZero(row.subarray(PLACE + 1)), "malformed");
  demand(SMALLEST_OPENING <= openingSize && openingSize <= Math.min(Number(size), LARGEST_OPENING), "malformed");
  return { id: row.slice(0, HASH_SIZE), day, size: Number(size), openingSize, place };
}

/** Newest day first, those of one day by id. */
function order(one: Entry, other: Entry): number {
  return other.day - one.day || compare(one.id, other.id);
}

/**
 * Reads a list. Throws `not-tipbox`, `version`, `limit` or `malformed`; what is in the openings is for others to check.
 */
export function parseList(bytes: Bytes): MailboxList {
  const start = bytes.slice(0, MAGIC.length);
  demand(compare(start, MAGIC.slice(0, start.length)) === 0, "not-tipbox");
  demand(bytes.length === LIST_SIZE, "malformed");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  demand(bytes[8] === VERSION, "version");
  const count = view.getUint16(10);
  const listed = view.getUint16(12);
  demand(count <= MAX_REPLIES && listed <= count, "limit");
  demand(bytes[9] === 0 && view.getUint16(14) === 0, "malformed");
  let offset = LIST_HEADER;
  const take = (size: number): Bytes => {
    demand(offset + size <= bytes.length, "malformed");
    return bytes.slice(offset, (offset += size));
  };
  const entries = Array.from({ length: count }, () => parseEntry(take(ENTRY_SIZE)));
  demand(
    entries.every((entry, i) => i === 0 || order(entries[i - 1] ?? entry, entry) < 0),
    "malformed",
  );
  demand(new Set(entries.map(({ id }) => toHex(id))).size === count, "malformed");
  const openings = entries.slice(0, listed).map(({ openingSize }) => take(openingSize));
  demand(isZero(bytes.subarray(offset)), "malformed");
  return { entries, openings };
}
