// HPKE of docs/format.md, section 1: what seals to an organisation's key. Apart from the other primitives, because it
// alone needs code from outside.

import { Aes256Gcm, CipherSuite, HkdfSha256 } from "@hpke/core";
import { XWing } from "@hpke/hybridkem-x-wing";
import { demand } from "../../errors.js";
import { type Bytes, concat } from "./bytes.js";
import { XWING_PUBLIC_SIZE } from "./limits.js";
import { isXWing } from "./primitives.js";

/** RFC 9180 in base mode with X-Wing, HKDF-SHA256 and AES-256-GCM. */
export function suite(): CipherSuite {
  return new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
}

/** Seals to a public X-Wing key: enc ‖ ciphertext. */
export async function hpkeSeal(publicKey: Bytes, info: Bytes, plaintext: Bytes): Promise<Bytes> {
  demand(publicKey.length === XWING_PUBLIC_SIZE && isXWing(publicKey), "malformed");
  const used = suite();
  const recipientPublicKey = await used.kem.deserializePublicKey(publicKey);
  const { enc, ct } = await used.seal({ recipientPublicKey, info }, plaintext);
  return concat(new Uint8Array(enc), new Uint8Array(ct));
}
