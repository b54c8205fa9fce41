// Replies: opening one, and telling whom it is from (docs/format.md, section 4.6). Only the pair key in the slot proves
// that.

import { demand } from "../../errors.js";
import { pairKey, type Secrets } from "../access_code.js";
import { type Bytes, equal } from "../base/bytes.js";
import { ID_SIZE } from "../base/limits.js";
import { sha256 } from "../base/primitives.js";
import { keyId } from "../manifest.js";
import type { SealedHead } from "./envelope.js";
import { openSlot } from "./header.js";
import { type Letter, openLetter } from "./letter.js";

/** A reply whose letter is open; the body opens with `letter.bodyKey` and `headerHash`. */
export interface OpenedReply {
  /** The id of the organisation that wrote it; `null` if no known one did, and then none may be named. */
  readonly organisation: Bytes | null;
  readonly letter: Letter;
  readonly headerHash: Bytes;
}

/** What a reply's slot has in place of an organisation id; 16 bytes. */
export function mailboxId(address: Bytes): Bytes {
  return address.slice(0, ID_SIZE);
}

/**
 * Opens a reply's letter. `organisations` are the ids of all that the source knows by their manifests. Throws
 * `malformed`, `limit`, `not-addressed`, `unknown-key`, `tampered`, `not-for-you` or `commitment` when it is no reply
 * to this source.
 */
export async function openReply(
  sealed: SealedHead,
  secrets: Secrets,
  organisations: readonly Bytes[],
): Promise<OpenedReply> {
  const { header } = sealed;
  demand(header.slots.length === 1, "malformed");
  const own = await keyId(secrets.replyPublic);
  const slot = await openSlot(header, mailboxId(secrets.mailboxAddress), (key) =>
    equal(key, own) ? secrets.replySeed : "unknown-key",
  );
  const headerHash = await sha256(sealed.headerBytes);
  const letter = await openLetter(header, headerHash, slot.contentKey, sealed.letter);
  slot.contentKey.fill(0);
  demand(letter.kind === "reply" && letter.mailbox.length === 0 && letter.replyKey.length === 0, "malformed");
  let organisation: Bytes | null = null;
  for (const one of organisations) {
    if (equal(await pairKey(secrets.root, one), slot.pairKey)) organisation ??= one;
  }
  return { organisation, letter, headerHash };
}
