// Opening a slot, as a desk does it (docs/format.md, section 4.2). A page only seals them.

import { demand } from "../../../src/errors.js";
import { type Bytes, equal } from "../../../src/formats/base/bytes.js";
import { HEADER_FIXED, KEY_SIZE } from "../../../src/formats/base/limits.js";
import {
  contentCommitment,
  encodeHeader,
  type Header,
  type SlotSecrets,
  slotInfo,
} from "../../../src/formats/envelopes/header.js";
import { hpkeOpen } from "../base/hpke_opening.js";

/** The seed of the receiving key with an id, or why there is none. */
export type FindKey = (id: Bytes) => Bytes | "unknown-key" | "too-late";

/**
 * Opens the slot of an organisation. Returns only for MINE; throws `not-addressed`, `unknown-key`, `too-late`,
 * `tampered` or `not-for-you`: the outcomes of section 4.2.
 */
export async function openSlot(header: Header, organisation: Bytes, findKey: FindKey): Promise<SlotSecrets> {
  const slot = header.slots.find((one) => equal(one.organisation, organisation));
  demand(slot !== undefined, "not-addressed");
  const seed = findKey(slot.key);
  demand(seed !== "unknown-key", "unknown-key");
  demand(seed !== "too-late", "too-late");
  const fixed = encodeHeader(header).slice(0, HEADER_FIXED);
  const opened = await hpkeOpen(seed, slotInfo(fixed, slot.organisation, slot.key), slot.sealed);
  const secret = (number: number): Bytes => opened.slice(number * KEY_SIZE, (number + 1) * KEY_SIZE);
  const contentKey = secret(0);
  // Before any AEAD call under the content key: GCM alone does not bind a ciphertext to one key.
  demand(equal(await contentCommitment(contentKey, header.salt), header.contentCommitment), "not-for-you");
  return { contentKey, pairKey: secret(1), mailbox: secret(2), sealSecret: secret(3) };
}
