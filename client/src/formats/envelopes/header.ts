// The header of an Envelope and its slots (docs/format.md, sections 4.1 and 4.2).

import { demand } from "../../errors.js";
import { type Bytes, compare, concat, equal, uint, utf8 } from "../base/bytes.js";
import * as labels from "../base/labels.js";
import {
  HEADER_FIXED,
  ID_SIZE,
  KEY_SIZE,
  MAGIC,
  MAX_BODY,
  MAX_LETTER,
  MAX_SLOTS,
  SLOT_SEALED,
  SLOT_SIZE,
  VERSION,
} from "../base/limits.js";
import { letterSize, padme } from "../base/padding.js";
import { hkdf, hpkeOpen, hpkeSeal } from "../base/primitives.js";

const magic = Uint8Array.from(MAGIC, (char) => char.charCodeAt(0));

/** One reader's slot: organisation id, key id, enc ‖ ciphertext. */
export interface Slot {
  readonly organisation: Bytes;
  readonly key: Bytes;
  readonly sealed: Bytes;
}

/** A header; sizes are padded plaintext bytes. */
export interface Header {
  readonly letterSize: number;
  readonly bodySize: number;
  readonly salt: Bytes;
  readonly contentCommitment: Bytes;
  readonly bodyCommitment: Bytes;
  readonly slots: readonly Slot[];
}

/** What a slot holds. */
export interface SlotKeys {
  readonly contentKey: Bytes;
  readonly pairKey: Bytes;
}

/** Given a key id: the private seed, or why there is none. */
export type FindKey = (keyId: Bytes) => Bytes | "unknown-key" | "too-late";

/** The bytes that bind a header to its content key. */
export function contentCommitment(contentKey: Bytes, salt: Bytes): Promise<Bytes> {
  return hkdf(contentKey, salt, labels.CONTENT_COMMITMENT);
}

/** The bytes that bind a header to its body key. */
export function bodyCommitment(bodyKey: Bytes, salt: Bytes): Promise<Bytes> {
  return hkdf(bodyKey, salt, labels.BODY_COMMITMENT);
}

/** The header's bytes. */
export function encodeHeader(header: Header): Bytes {
  const bodySize = new Uint8Array(8);
  new DataView(bodySize.buffer).setBigUint64(0, BigInt(header.bodySize));
  return concat(
    magic,
    uint(VERSION, 1),
    uint(header.slots.length, 1),
    uint(0, 2),
    uint(header.letterSize, 4),
    bodySize,
    header.salt,
    header.contentCommitment,
    header.bodyCommitment,
    ...header.slots.flatMap((slot) => [slot.organisation, slot.key, slot.sealed]),
  );
}

/** The size of the header that starts with `prefix`; its first ten bytes are enough. */
export function headerSize(prefix: Bytes): number {
  const start = prefix.slice(0, magic.length);
  demand(equal(start, magic.slice(0, start.length)), "not-tipbox");
  const [version, slots] = prefix.slice(magic.length);
  demand(version !== undefined && slots !== undefined, "truncated");
  demand(version === VERSION, "version");
  demand(1 <= slots && slots <= MAX_SLOTS, "limit");
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
    letterSize: view.getUint32(12),
    bodySize: Number(body),
    salt: bytes.slice(24, 56),
    contentCommitment: bytes.slice(56, 88),
    bodyCommitment: bytes.slice(88, HEADER_FIXED),
    slots,
  };
  demand(body <= BigInt(MAX_BODY) && header.letterSize <= MAX_LETTER, "limit");
  demand(view.getUint16(10) === 0, "malformed");
  demand(letterSize(header.letterSize) === header.letterSize, "malformed");
  demand(padme(header.bodySize) === header.bodySize, "malformed");
  demand(
    slots.every((slot, i) => i === 0 || compare(slots[i - 1]?.organisation ?? magic, slot.organisation) < 0),
    "malformed",
  );
  return header;
}

function info(organisation: Bytes, key: Bytes, content: Bytes, body: Bytes): Bytes {
  return concat(utf8(labels.SLOT), organisation, key, content, body);
}

/** Seals 64 bytes (content key ‖ pair key, or random ones for a filler) to a receiving key. */
export async function sealSlot(
  to: { readonly organisation: Bytes; readonly key: Bytes; readonly publicKey: Bytes },
  content: Bytes,
  body: Bytes,
  plaintext: Bytes,
): Promise<Slot> {
  const sealed = await hpkeSeal(to.publicKey, info(to.organisation, to.key, content, body), plaintext);
  return { organisation: to.organisation, key: to.key, sealed };
}

/**
 * Opens the slot of an organisation (or of a mailbox). Returns only for MINE; throws `not-addressed`, `unknown-key`,
 * `too-late`, `tampered` or `not-for-you`: the outcomes of section 4.2.
 */
export async function openSlot(header: Header, organisation: Bytes, findKey: FindKey): Promise<SlotKeys> {
  const slot = header.slots.find((one) => equal(one.organisation, organisation));
  demand(slot !== undefined, "not-addressed");
  const seed = findKey(slot.key);
  demand(seed !== "unknown-key", "unknown-key");
  demand(seed !== "too-late", "too-late");
  const keys = await hpkeOpen(
    seed,
    info(slot.organisation, slot.key, header.contentCommitment, header.bodyCommitment),
    slot.sealed,
  );
  const contentKey = keys.slice(0, KEY_SIZE);
  // Before any AEAD call under the content key: GCM alone does not bind a ciphertext to one key.
  demand(equal(await contentCommitment(contentKey, header.salt), header.contentCommitment), "not-for-you");
  return { contentKey, pairKey: keys.slice(KEY_SIZE) };
}
