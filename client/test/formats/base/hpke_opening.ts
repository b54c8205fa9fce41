// The other half of hpke.ts: what a desk does with its private keys. No page has one.

import { XWing } from "@hpke/hybridkem-x-wing";
import { TipboxError } from "../../../src/errors.js";
import type { Bytes } from "../../../src/formats/base/bytes.js";
import { suite } from "../../../src/formats/base/hpke.js";
import { XWING_ENC_SIZE } from "../../../src/formats/base/limits.js";

/** What `hpkeSeal` sealed to the key of this seed. Throws `tampered` when it does not open. */
export async function hpkeOpen(seed: Bytes, info: Bytes, sealed: Bytes): Promise<Bytes> {
  const used = suite();
  const recipientKey = await used.kem.deserializePrivateKey(seed);
  try {
    const enc = sealed.slice(0, XWING_ENC_SIZE);
    return new Uint8Array(await used.open({ recipientKey, enc, info }, sealed.slice(XWING_ENC_SIZE)));
  } catch {
    throw new TipboxError("tampered");
  }
}

/** The 1216-byte public X-Wing key of a 32-byte seed. */
export async function xwingPublic(seed: Bytes): Promise<Bytes> {
  const pair = await new XWing().generateKeyPairDerand(seed);
  return new Uint8Array(await suite().kem.serializePublicKey(pair.publicKey));
}
