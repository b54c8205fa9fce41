// Replies: opening one (docs/format.md, section 4.6). Source and organisation share the pair key, so a reply needs no
// other; whose pair key opens it tells whom it is from, and nothing else does.

import { demand } from "../../errors.js";
import { type Bytes, equal } from "../base/bytes.js";
import * as labels from "../base/labels.js";
import { hkdf, sha256 } from "../base/primitives.js";
import type { SealedHead } from "./envelope.js";
import { contentCommitment, REPLY } from "./header.js";
import { openLetter, type ReplyLetter } from "./letter.js";

/** A reply whose letter is open; the body opens with `letter.bodyKey` and `headerHash`. */
export interface OpenedReply {
  readonly letter: ReplyLetter;
  readonly headerHash: Bytes;
}

/**
 * Opens a reply's letter with the pair key of the organisation in whose mailbox it lay. Throws `not-for-you` when it is
 * from somebody else, `malformed`, `limit`, `tampered` or `commitment`.
 */
export async function openReply(sealed: SealedHead, pairKey: Bytes): Promise<OpenedReply> {
  const { header } = sealed;
  const contentKey = await hkdf(pairKey, header.salt, labels.REPLY_CONTENT);
  // Before any AEAD call under the content key: GCM alone does not bind a ciphertext to one key.
  demand(equal(await contentCommitment(contentKey, header.salt), header.contentCommitment), "not-for-you");
  const headerHash = await sha256(sealed.headerBytes);
  const letter = await openLetter(header, headerHash, contentKey, sealed.letter);
  contentKey.fill(0);
  demand(letter.kind === REPLY, "malformed");
  return { letter, headerHash };
}
