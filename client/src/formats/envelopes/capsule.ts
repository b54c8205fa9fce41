// Capsules (docs/format.md, section 14): what lies beside an upload so that its access code alone continues it. A page
// seals one with each upload of files that its source may have to continue, and opens them in what is loaded for that.

import { demand } from "../../errors.js";
import { type Bytes, concat, equal, isZero } from "../base/bytes.js";
import * as labels from "../base/labels.js";
import { CAPSULE_SIZE, HASH_SIZE, HEADER_PREFIX, KEY_SIZE, MAX_SLOTS, SALT_SIZE } from "../base/limits.js";
import { aesKey, hkdf, open, random, seal, sha256 } from "../base/primitives.js";
import { type Header, headerSize, parseHeader, TIP } from "./header.js";
import { openLetter, type TipLetter } from "./letter.js";

const NONCE = new Uint8Array(12);
const CHOSEN_AT = 2 * KEY_SIZE + 2 * HASH_SIZE;
const SECRETS_AT = CHOSEN_AT + 4;

/** What a capsule holds, 32 bytes each. */
export interface Capsule {
  /** The draft token. */
  readonly token: Bytes;
  readonly headerHash: Bytes;
  /** SHA-256 of the sealed letter. */
  readonly letterHash: Bytes;
  readonly contentKey: Bytes;
  /** Of each slot from the first on, `null` where it was not chosen; at most 32. */
  readonly sealSecrets: readonly (Bytes | null)[];
}

/** Header and letter that a capsule vouches for. */
export interface CheckedOpening {
  readonly header: Header;
  readonly headerBytes: Bytes;
  readonly sealedLetter: Bytes;
  readonly letter: TipLetter;
}

async function keyOf(resume: Bytes, salt: Bytes): Promise<CryptoKey> {
  const key = await hkdf(resume, salt, labels.CAPSULE);
  const handle = await aesKey(key);
  key.fill(0);
  return handle;
}

/** The 1,204 bytes, under a resume secret. Once for each capsule: `salt` is another than random for tests alone. */
export async function sealCapsule(capsule: Capsule, resume: Bytes, salt: Bytes = random(SALT_SIZE)): Promise<Bytes> {
  const { token, headerHash, letterHash, contentKey, sealSecrets } = capsule;
  const plaintext = concat(token, headerHash, letterHash, contentKey, new Uint8Array(4 + MAX_SLOTS * KEY_SIZE));
  let chosen = 0;
  for (const [slot, secret] of sealSecrets.entries()) {
    if (secret === null) continue;
    chosen += 2 ** slot;
    plaintext.set(secret, SECRETS_AT + slot * KEY_SIZE);
  }
  new DataView(plaintext.buffer).setUint32(CHOSEN_AT, chosen);
  const sealed = concat(salt, await seal(await keyOf(resume, salt), NONCE, plaintext));
  plaintext.fill(0);
  return sealed;
}

/** The capsule in these bytes. Throws `malformed`, and `tampered` for what another access code, or chance, made. */
export async function openCapsule(sealed: Bytes, resume: Bytes): Promise<Capsule> {
  demand(sealed.length === CAPSULE_SIZE, "malformed");
  const plaintext = await open(await keyOf(resume, sealed.slice(0, SALT_SIZE)), NONCE, sealed.slice(SALT_SIZE));
  const take = (at: number): Bytes => plaintext.slice(at, at + KEY_SIZE);
  const chosen = new DataView(plaintext.buffer).getUint32(CHOSEN_AT);
  const secrets = Array.from({ length: MAX_SLOTS }, (_, slot) => take(SECRETS_AT + slot * KEY_SIZE));
  const sealSecrets = secrets.map((secret, slot) => {
    const isChosen = ((chosen >>> slot) & 1) === 1;
    demand(isChosen || isZero(secret), "malformed");
    return isChosen ? secret : null;
  });
  demand(chosen !== 0, "malformed");
  const [token, headerHash, letterHash, contentKey] = [0, 1, 2, 3].map((place) => take(place * KEY_SIZE)) as [
    Bytes,
    Bytes,
    Bytes,
    Bytes,
  ];
  plaintext.fill(0);
  return { token, headerHash, letterHash, contentKey, sealSecrets };
}

/**
 * Header ‖ letter as a server gives them back, if they are those that the capsule was made for. Throws `tampered` when
 * they are others, and what is wrong with them: before that, nothing of them is used but the header's size.
 */
export async function checkOpening(capsule: Capsule, opening: Bytes): Promise<CheckedOpening> {
  const size = headerSize(opening.slice(0, HEADER_PREFIX));
  demand(opening.length >= size, "truncated");
  const headerBytes = opening.slice(0, size);
  const sealedLetter = opening.slice(size);
  demand(equal(await sha256(headerBytes), capsule.headerHash), "tampered");
  demand(equal(await sha256(sealedLetter), capsule.letterHash), "tampered");
  const header = parseHeader(headerBytes);
  demand(header.kind === TIP && header.bodySize > 0, "malformed");
  demand(
    capsule.sealSecrets.slice(header.slots.length).every((secret) => secret === null),
    "malformed",
  );
  const letter = await openLetter(header, capsule.headerHash, capsule.contentKey, sealedLetter);
  demand(letter.kind === TIP && letter.message.length === 0, "malformed");
  return { header, headerBytes, sealedLetter, letter };
}
