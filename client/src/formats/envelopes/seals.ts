// What is computed over a whole Envelope: its hash and id, the tags of its trailer, check digits (docs/format.md,
// section 4.5). Keys of tags and digits come from the pair key and the seal secret of one slot.

import { type Bytes, concat, utf8 } from "../base/bytes.js";
import * as labels from "../base/labels.js";
import { hkdf, hmac, sha256 } from "../base/primitives.js";
import type { SlotSecrets } from "./header.js";

/** What makes a slot's tags and check digits. */
export type SealSecrets = Pick<SlotSecrets, "pairKey" | "sealSecret">;

/** The hash of an Envelope without its trailer; `partHashes` are SHA-256 of each sealed part. */
export async function envelopeHash(headerHash: Bytes, letter: Bytes, partHashes: readonly Bytes[]): Promise<Bytes> {
  return sha256(utf8(labels.ENVELOPE_HASH), headerHash, await sha256(letter), ...partHashes);
}

/** The id of the Envelope with this hash and trailer; a reply has no trailer. */
export function envelopeId(hash: Bytes, trailer: Bytes = new Uint8Array(0)): Promise<Bytes> {
  return sha256(utf8(labels.ENVELOPE_ID), hash, trailer);
}

/** A source's seal over a whole Envelope, for the reader of one slot alone. `salt` is the header's. */
export async function tag(salt: Bytes, { pairKey, sealSecret }: SealSecrets, hash: Bytes): Promise<Bytes> {
  const key = concat(pairKey, sealSecret);
  const sealKey = await hkdf(key, salt, labels.SEAL);
  const made = await hmac(sealKey, hash);
  for (const secret of [key, sealKey]) secret.fill(0);
  return made;
}

/** What source and organisation compare, read aloud: 20 digits in groups of five. */
export async function checkDigits({ pairKey, sealSecret }: SealSecrets, hash: Bytes): Promise<string> {
  const key = concat(pairKey, sealSecret);
  const derived = await hkdf(key, hash, labels.CHECK_DIGITS);
  key.fill(0);
  const number = derived.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n) % 10n ** 20n;
  return (number.toString().padStart(20, "0").match(/.{5}/g) ?? []).join(" ");
}
