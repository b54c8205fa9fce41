// Envelopes: sealing one, taking one apart, and its id (docs/format.md, section 4). A page opens only replies
// (reply.ts, and body.ts for their files).

import { demand } from "../../errors.js";
import { type Bytes, compare, concat } from "../base/bytes.js";
import { KEY_SIZE, MAX_SLOTS, SALT_SIZE, SEALED_PART_SIZE, TAG_SIZE } from "../base/limits.js";
import { random, sha256 } from "../base/primitives.js";
import { BodySealer } from "./body.js";
import {
  bodyCommitment,
  contentCommitment,
  encodeHeader,
  type Header,
  headerSize,
  parseHeader,
  sealSlot,
} from "./header.js";
import { bodySize, checkSendable, encodeLetter, type Letter, sealLetter } from "./letter.js";

/** A slot to fill: the organisation's id, its receiving key and that key's id; no pair key makes a filler. */
export interface Recipient {
  readonly organisation: Bytes;
  readonly key: Bytes;
  readonly publicKey: Bytes;
  readonly pairKey: Bytes | null;
}

/** A sealed header and letter, and what seals the body. */
export interface OutgoingEnvelope {
  readonly header: Bytes;
  readonly headerHash: Bytes;
  readonly letter: Bytes;
  readonly body: BodySealer;
  /** Padded plaintext bytes of the body. */
  readonly bodySize: number;
}

/** Seals a letter (its body key is made here) to the recipients: one slot each, in the order of their ids. */
export async function seal(
  recipients: readonly Recipient[],
  content: Omit<Letter, "bodyKey">,
): Promise<OutgoingEnvelope> {
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
  // Slots stand in the order of their ids, which does not show who was chosen.
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

/** The front of an Envelope, still sealed. */
export interface SealedHead {
  readonly header: Header;
  readonly headerBytes: Bytes;
  readonly letter: Bytes;
}

/** A whole Envelope, still sealed. */
export interface SealedEnvelope extends SealedHead {
  /** All sealed parts, joined. */
  readonly parts: Bytes;
}

/** Header and letter at the front of `bytes`, and what follows them. No key is needed. */
export function splitHead(bytes: Bytes): { readonly head: SealedHead; readonly rest: Bytes } {
  const size = headerSize(bytes);
  const headerBytes = bytes.slice(0, size);
  const header = parseHeader(headerBytes);
  const end = size + header.letterSize + TAG_SIZE;
  demand(bytes.length >= end, "truncated");
  return { head: { header, headerBytes, letter: bytes.slice(size, end) }, rest: bytes.slice(end) };
}

/** Reads header ‖ letter that take up `bytes` exactly. */
export function readHead(bytes: Bytes): SealedHead {
  const { head, rest } = splitHead(bytes);
  demand(rest.length === 0, "trailing");
  return head;
}

/** The Envelope's id, 32 bytes. Anyone can compute it: no key is needed. */
export async function envelopeId({ headerBytes, letter, parts }: SealedEnvelope): Promise<Bytes> {
  const hashes: Bytes[] = [];
  for (let offset = 0; offset < parts.length; offset += SEALED_PART_SIZE) {
    hashes.push(await sha256(parts.subarray(offset, offset + SEALED_PART_SIZE)));
  }
  return sha256(headerBytes, letter, ...hashes);
}
