// Envelopes: sealing one, opening one, and its id (docs/format.md, section 4).

import { demand } from "../../errors.js";
import { type Bytes, compare, concat } from "../base/bytes.js";
import { KEY_SIZE, MAX_SLOTS, PART_SIZE, SALT_SIZE, TAG_SIZE } from "../base/limits.js";
import { partsOf } from "../base/padding.js";
import { random, sha256 } from "../base/primitives.js";
import { BodySealer, openBody, splitFiles } from "./body.js";
import {
  bodyCommitment,
  contentCommitment,
  encodeHeader,
  type FindKey,
  type Header,
  headerSize,
  openSlot,
  parseHeader,
  sealSlot,
} from "./header.js";
import { bodySize, checkSendable, encodeLetter, type Letter, openLetter, sealLetter } from "./letter.js";

/** A slot to fill: the organisation's id, its receiving key and that key's id; no pair key makes a filler. */
export interface Recipient {
  readonly organisation: Bytes;
  readonly key: Bytes;
  readonly publicKey: Bytes;
  readonly pairKey: Bytes | null;
}

/** A sealed header and letter, and what seals the body. */
export interface Sealed {
  readonly header: Bytes;
  readonly headerHash: Bytes;
  readonly letter: Bytes;
  readonly body: BodySealer;
  /** Padded plaintext bytes of the body. */
  readonly bodySize: number;
}

/** Seals a letter (its body key is made here) to the recipients: one slot each, in the order of their ids. */
export async function seal(recipients: readonly Recipient[], content: Omit<Letter, "bodyKey">): Promise<Sealed> {
  checkSendable(content.message, content.files);
  demand(1 <= recipients.length && recipients.length <= MAX_SLOTS, "limit");
  demand(
    recipients.some((recipient) => recipient.pairKey !== null),
    "malformed",
  );
  const salt = random(SALT_SIZE);
  const contentKey = random(KEY_SIZE);
  const bodyKey = random(KEY_SIZE);
  const commitments = [await contentCommitment(contentKey, salt), await bodyCommitment(bodyKey, salt)] as const;
  const sorted = [...recipients].sort((one, other) => compare(one.organisation, other.organisation));
  const slots = await Promise.all(
    sorted.map(async (recipient) => {
      const keys = recipient.pairKey === null ? random(2 * KEY_SIZE) : concat(contentKey, recipient.pairKey);
      const slot = await sealSlot(recipient, ...commitments, keys);
      keys.fill(0);
      return slot;
    }),
  );
  const plaintext = encodeLetter({ ...content, bodyKey });
  const size = bodySize(content.files);
  const header = encodeHeader({
    letterSize: plaintext.length,
    bodySize: size,
    salt,
    contentCommitment: commitments[0],
    bodyCommitment: commitments[1],
    slots,
  });
  const headerHash = await sha256(header);
  const letter = await sealLetter(headerHash, contentKey, plaintext);
  const body = await BodySealer.create(headerHash, bodyKey, size);
  for (const secret of [contentKey, bodyKey, plaintext]) secret.fill(0);
  return { header, headerHash, letter, body, bodySize: size };
}

/** An Envelope taken apart, still sealed. */
export interface Reading {
  readonly header: Header;
  readonly headerBytes: Bytes;
  readonly letter: Bytes;
  /** All sealed parts, joined. */
  readonly parts: Bytes;
}

/** Takes header ‖ letter apart, without keys. */
export function readHead(bytes: Bytes): Omit<Reading, "parts"> {
  const size = headerSize(bytes);
  const headerBytes = bytes.slice(0, size);
  const header = parseHeader(headerBytes);
  const end = size + header.letterSize + TAG_SIZE;
  demand(bytes.length >= end, "truncated");
  demand(bytes.length === end, "trailing");
  return { header, headerBytes, letter: bytes.slice(size) };
}

/** Takes an Envelope apart, without keys. */
export function readEnvelope(bytes: Bytes): Reading {
  const size = headerSize(bytes);
  const headerBytes = bytes.slice(0, size);
  const header = parseHeader(headerBytes);
  const end = size + header.letterSize + TAG_SIZE;
  demand(bytes.length >= end, "truncated");
  const parts = bytes.slice(end);
  const sealedSize = header.bodySize + partsOf(header.bodySize) * TAG_SIZE;
  demand(parts.length >= sealedSize, "incomplete");
  demand(parts.length === sealedSize, "trailing");
  return { header, headerBytes, letter: bytes.slice(size, end), parts };
}

/** The Envelope's id: anyone can compute it, without keys. */
export async function envelopeId(reading: Reading): Promise<Bytes> {
  const hashes: Bytes[] = [];
  for (let offset = 0; offset < reading.parts.length; offset += PART_SIZE + TAG_SIZE) {
    hashes.push(await sha256(reading.parts.subarray(offset, offset + PART_SIZE + TAG_SIZE)));
  }
  return sha256(reading.headerBytes, reading.letter, ...hashes);
}

/** An opened Envelope. */
export interface Opened {
  readonly letter: Letter;
  readonly contentKey: Bytes;
  readonly pairKey: Bytes;
  readonly files: readonly Bytes[];
}

/** Opens an Envelope as one of its readers; nothing of it is returned unless all of it opens. */
export async function open(bytes: Bytes, organisation: Bytes, findKey: FindKey): Promise<Opened> {
  const reading = readEnvelope(bytes);
  const keys = await openSlot(reading.header, organisation, findKey);
  const headerHash = await sha256(reading.headerBytes);
  const letter = await openLetter(reading.header, headerHash, keys.contentKey, reading.letter);
  const pieces: Bytes[] = [];
  for await (const piece of openBody(headerHash, letter.bodyKey, reading.header.bodySize, reading.parts))
    pieces.push(piece);
  return { ...keys, letter, files: splitFiles(concat(...pieces), letter.files) };
}
