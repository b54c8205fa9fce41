// The header of an Envelope and its slots (docs/format.md, sections 4.1 and 4.2).

import { demand } from "../../errors.js";
import { type Bytes, compare, concat, equal, uint, utf8 } from "../base/bytes.js";
import { hpkeSeal } from "../base/hpke.js";
import * as labels from "../base/labels.js";
import {
  HEADER_FIXED,
  HEADER_PREFIX,
  ID_SIZE,
  MAGIC,
  MAX_BODY,
  MAX_LETTER,
  MAX_SLOTS,
  SEAL_SIZE,
  SLOT_SEALED,
  SLOT_SIZE,
  VERSION,
} from "../base/limits.js";
import { letterSize, padme } from "../base/padding.js";
import { hkdf } from "../base/primitives.js";

const magic = Uint8Array.from(MAGIC, (char) => char.charCodeAt(0));

/** Who writes to whom: a tip is from a source, a reply from an organisation. */
export const TIP = 0;
export const REPLY = 1;
export type Kind = typeof TIP | typeof REPLY;

/** One reader's slot: organisation id, key id, enc ‖ ciphertext. */
export interface Slot {
  readonly organisation: Bytes;
  readonly key: Bytes;
  readonly sealed: Bytes;
}

/** A header; sizes are padded plaintext bytes. A reply has no slots. */
export interface Header {
  readonly kind: Kind;
  readonly letterSize: number;
  readonly bodySize: number;
  readonly salt: Bytes;
  readonly contentCommitment: Bytes;
  readonly bodyCommitment: Bytes;
  readonly slots: readonly Slot[];
}

/** What a slot holds, 32 bytes each. */
export interface SlotSecrets {
  readonly contentKey: Bytes;
  readonly pairKey: Bytes;
  readonly mailbox: Bytes;
  readonly sealSecret: Bytes;
}

/** The bytes that bind a header to its content key. */
export function contentCommitment(contentKey: Bytes, salt: Bytes): Promise<Bytes> {
  return hkdf(contentKey, salt, labels.CONTENT_COMMITMENT);
}

/** The bytes that bind a header to its body key. */
export function bodyCommitment(bodyKey: Bytes, salt: Bytes): Promise<Bytes> {
  return hkdf(bodyKey, salt, labels.BODY_COMMITMENT);
}

/** The first 120 bytes of a header with so many slots: each slot is sealed under them. */
export function encodeFixed(header: Omit<Header, "slots">, slots: number): Bytes {
  const bodySize = new Uint8Array(8);
  new DataView(bodySize.buffer).setBigUint64(0, BigInt(header.bodySize));
  return concat(
    magic,
    uint(VERSION, 1),
    uint(slots, 1),
    uint(header.kind, 1),
    uint(0, 1),
    uint(header.letterSize, 4),
    bodySize,
    header.salt,
    header.contentCommitment,
    header.bodyCommitment,
  );
}

/** The header's bytes. */
export function encodeHeader(header: Header): Bytes {
  return concat(
    encodeFixed(header, header.slots.length),
    ...header.slots.flatMap((slot) => [slot.organisation, slot.key, slot.sealed]),
  );
}

/** The bytes of the trailer that ends an Envelope with this header. */
export function trailerSize(header: Header): number {
  return SEAL_SIZE * header.slots.length;
}

/** The size of the header that starts with `prefix`; its first twelve bytes are enough. */
export function headerSize(prefix: Bytes): number {
  const start = prefix.slice(0, magic.length);
  demand(equal(start, magic.slice(0, start.length)), "not-tipbox");
  const [version, slots, kind] = prefix.slice(magic.length, HEADER_PREFIX);
  demand(
    prefix.length >= HEADER_PREFIX && version !== undefined && slots !== undefined && kind !== undefined,
    "truncated",
  );
  demand(version === VERSION, "version");
  demand(kind === TIP || kind === REPLY, "malformed");
  demand(kind === TIP ? 1 <= slots && slots <= MAX_SLOTS : slots === 0, "limit");
  return HEADER_FIXED + slots * SLOT_SIZE;
}

/** Reads a header that takes up `bytes` exactly. */
export function parseHeader(bytes: Bytes): Header {
  const size = headerSize(bytes);
  demand(bytes.length >= size, "truncated");
  demand(bytes.length === size, "trailing");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let offset = HEADER_FIXED;
  const take = (count: number): Bytes => bytes.slice(offset, (offset += count));
  const slots: Slot[] = [];
  while (offset < size) slots.push({ organisation: take(ID_SIZE), key: take(ID_SIZE), sealed: take(SLOT_SEALED) });
  const body = view.getBigUint64(16);
  const header = {
    kind: bytes[10] === TIP ? TIP : REPLY,
    letterSize: view.getUint32(12),
    bodySize: Number(body),
    salt: bytes.slice(24, 56),
    contentCommitment: bytes.slice(56, 88),
    bodyCommitment: bytes.slice(88, HEADER_FIXED),
    slots,
  } as const;
  demand(body <= BigInt(MAX_BODY) && header.letterSize <= MAX_LETTER, "limit");
  demand(bytes[11] === 0, "malformed");
  demand(letterSize(header.letterSize) === header.letterSize, "malformed");
  demand(padme(header.bodySize) === header.bodySize, "malformed");
  demand(
    slots.every((slot, i) => i === 0 || compare(slots[i - 1]?.organisation ?? magic, slot.organisation) < 0),
    "malformed",
  );
  return header;
}

/** What a slot's HPKE is bound to: the fixed header, and whose slot it is. */
export function slotInfo(fixed: Bytes, organisation: Bytes, key: Bytes): Bytes {
  return concat(utf8(labels.SLOT), fixed, organisation, key);
}

/** Seals 128 bytes (those of `SlotSecrets`, or random ones for a filler) to a receiving key, under the fixed header. */
export async function sealSlot(
  to: { readonly organisation: Bytes; readonly key: Bytes; readonly publicKey: Bytes },
  fixed: Bytes,
  plaintext: Bytes,
): Promise<Slot> {
  const sealed = await hpkeSeal(to.publicKey, slotInfo(fixed, to.organisation, to.key), plaintext);
  return { organisation: to.organisation, key: to.key, sealed };
}
