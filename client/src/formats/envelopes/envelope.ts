// Envelopes: sealing one, and taking one apart (docs/format.md, section 4). A page opens only replies (reply.ts, and
// body.ts for their files).

import { demand } from "../../errors.js";
import { type Bytes, compare, concat } from "../base/bytes.js";
import { HEADER_PREFIX, KEY_SIZE, MAX_SLOTS, SALT_SIZE, SEAL_SIZE, SLOT_SECRETS, TAG_SIZE } from "../base/limits.js";
import { random, sha256 } from "../base/primitives.js";
import { BodySealer } from "./body.js";
import {
  bodyCommitment,
  contentCommitment,
  encodeFixed,
  encodeHeader,
  type Header,
  headerSize,
  type Kind,
  parseHeader,
  sealSlot,
  TIP,
} from "./header.js";
import { bodySize, checkSendable, encodeLetter, sealLetter, type TipLetter } from "./letter.js";
import { envelopeHash, type SealSecrets, tag } from "./seals.js";

/**
 * A slot to fill: the organisation's id, its receiving key and that key's id; the pair key and the address of the
 * mailbox in which it answers, or none of both for a filler.
 */
export interface Recipient {
  readonly organisation: Bytes;
  readonly key: Bytes;
  readonly publicKey: Bytes;
  readonly chosen: { readonly pairKey: Bytes; readonly mailbox: Bytes } | null;
}

/** A sealed header and letter, and what seals the rest. */
export interface OutgoingEnvelope {
  readonly header: Bytes;
  readonly headerHash: Bytes;
  readonly letter: Bytes;
  readonly body: BodySealer;
  /** Padded plaintext bytes of the body. */
  readonly bodySize: number;
  readonly salt: Bytes;
  /** Wiped by `wipeSeals`, as the next. */
  readonly contentKey: Bytes;
  /** In the order of the slots, with whose each is; `null` for a filler. Wiped by `wipeSeals`. */
  readonly seals: readonly { readonly organisation: Bytes; readonly secrets: SealSecrets | null }[];
}

/** Seals a letter (its body key is made here) to the recipients: one slot each, in the order of their ids. */
export async function seal(
  recipients: readonly Recipient[],
  content: Omit<TipLetter, "bodyKey" | "kind">,
): Promise<OutgoingEnvelope> {
  checkSendable(content.message, content.files);
  demand(1 <= recipients.length && recipients.length <= MAX_SLOTS, "limit");
  demand(
    recipients.some((recipient) => recipient.chosen !== null),
    "malformed",
  );
  const salt = random(SALT_SIZE);
  const contentKey = random(KEY_SIZE);
  const bodyKey = random(KEY_SIZE);
  const plaintext = encodeLetter({ ...content, bodyKey, kind: TIP });
  const size = bodySize(content.files);
  const bare = {
    kind: TIP,
    letterSize: plaintext.length,
    bodySize: size,
    salt,
    contentCommitment: await contentCommitment(contentKey, salt),
    bodyCommitment: await bodyCommitment(bodyKey, salt),
  } as const;
  const fixed = encodeFixed(bare, recipients.length);
  // Slots stand in the order of their ids, which does not show who was chosen.
  const sorted = [...recipients].sort((one, other) => compare(one.organisation, other.organisation));
  const seals = sorted.map(({ organisation, chosen }) => ({
    organisation,
    secrets: chosen && { pairKey: chosen.pairKey.slice(), sealSecret: random(KEY_SIZE) },
  }));
  const slots = await Promise.all(
    sorted.map(async (recipient, i) => {
      const secrets = seals[i]?.secrets;
      const { chosen } = recipient;
      const kept =
        chosen === null || !secrets
          ? random(SLOT_SECRETS)
          : concat(contentKey, chosen.pairKey, chosen.mailbox, secrets.sealSecret);
      const slot = await sealSlot(recipient, fixed, kept);
      kept.fill(0);
      return slot;
    }),
  );
  const header = encodeHeader({ ...bare, slots });
  const headerHash = await sha256(header);
  const letter = await sealLetter(headerHash, contentKey, plaintext);
  const body = await BodySealer.create(headerHash, bodyKey, size);
  for (const secret of [bodyKey, plaintext]) secret.fill(0);
  return { header, headerHash, letter, body, bodySize: size, salt, contentKey, seals };
}

/** What ends an Envelope: its hash and its trailer. */
export interface EnvelopeEnd {
  readonly hash: Bytes;
  readonly trailer: Bytes;
}

/**
 * Envelope hash and trailer for parts with these hashes: a tag for each organisation that was chosen, random bytes for
 * each other. The hashes must be of parts that were sealed here: the tags are the source's own seal.
 */
export async function endOf(
  { headerHash, letter, salt, seals }: Pick<OutgoingEnvelope, "headerHash" | "letter" | "salt" | "seals">,
  partHashes: readonly Bytes[],
): Promise<EnvelopeEnd> {
  const hash = await envelopeHash(headerHash, letter, partHashes);
  const tags = await Promise.all(seals.map(({ secrets }) => (secrets ? tag(salt, secrets, hash) : random(SEAL_SIZE))));
  return { hash, trailer: concat(...tags) };
}

/** Overwrites what opens the letter, and what makes tags and check digits. */
export function wipeSeals({ contentKey, seals }: Pick<OutgoingEnvelope, "contentKey" | "seals">): void {
  contentKey.fill(0);
  for (const { secrets } of seals) {
    secrets?.pairKey.fill(0);
    secrets?.sealSecret.fill(0);
  }
}

/** The front of an Envelope, still sealed. */
export interface SealedHead {
  readonly header: Header;
  readonly headerBytes: Bytes;
  readonly letter: Bytes;
}

/** Header and letter at the front of `bytes`, of that kind, and what follows them. No key is needed. */
export function splitHead(bytes: Bytes, kind: Kind): { readonly head: SealedHead; readonly rest: Bytes } {
  const size = headerSize(bytes.slice(0, HEADER_PREFIX));
  const headerBytes = bytes.slice(0, size);
  const header = parseHeader(headerBytes);
  demand(header.kind === kind, "malformed");
  const end = size + header.letterSize + TAG_SIZE;
  demand(bytes.length >= end, "truncated");
  return { head: { header, headerBytes, letter: bytes.slice(size, end) }, rest: bytes.slice(end) };
}

/** Reads header ‖ letter of that kind that take up `bytes` exactly. */
export function readHead(bytes: Bytes, kind: Kind): SealedHead {
  const { head, rest } = splitHead(bytes, kind);
  demand(rest.length === 0, "trailing");
  return head;
}
