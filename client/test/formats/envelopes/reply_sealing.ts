// Sealing a reply, as a desk does it (docs/format.md, section 4.6). A page only opens them.

import { type Bytes, concat } from "../../../src/formats/base/bytes.js";
import { KEY_SIZE, PART_SIZE } from "../../../src/formats/base/limits.js";
import { hkdf, random, sha256 } from "../../../src/formats/base/primitives.js";
import { BodySealer } from "../../../src/formats/envelopes/body.js";
import { bodyCommitment, contentCommitment, encodeHeader, REPLY } from "../../../src/formats/envelopes/header.js";
import { bodySize, encodeLetter, type ReplyLetter, sealLetter } from "../../../src/formats/envelopes/letter.js";

const REPLY_CONTENT = "tipbox/v1/reply-content";
const REPLY_SALT = "tipbox/v1/reply-salt";

/** The content key of a reply with this salt. */
export function replyContentKey(pairKey: Bytes, salt: Bytes): Promise<Bytes> {
  return hkdf(pairKey, salt, REPLY_CONTENT);
}

/** A whole reply with these contents for its files. */
export async function sealReply(
  pairKey: Bytes,
  content: Omit<ReplyLetter, "bodyKey" | "kind">,
  contents: readonly Bytes[] = [],
): Promise<Bytes> {
  const letter: ReplyLetter = { ...content, bodyKey: random(KEY_SIZE), kind: REPLY };
  const plaintext = encodeLetter(letter);
  const salt = await hkdf(random(KEY_SIZE), await sha256(plaintext), REPLY_SALT);
  const contentKey = await replyContentKey(pairKey, salt);
  const header = encodeHeader({
    kind: REPLY,
    letterSize: plaintext.length,
    bodySize: bodySize(letter.files),
    salt,
    contentCommitment: await contentCommitment(contentKey, salt),
    bodyCommitment: await bodyCommitment(letter.bodyKey, salt),
    slots: [],
  });
  const headerHash = await sha256(header);
  const body = new Uint8Array(bodySize(letter.files));
  body.set(concat(...contents));
  const sealer = await BodySealer.create(headerHash, letter.bodyKey, body.length);
  const parts: Bytes[] = [];
  for (let at = 0; at < body.length; at += PART_SIZE) parts.push(await sealer.seal(body.slice(at, at + PART_SIZE)));
  return concat(header, await sealLetter(headerHash, contentKey, plaintext), ...parts);
}
