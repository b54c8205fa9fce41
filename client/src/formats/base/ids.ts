// What names an organisation and its keys: a hash of what everybody may know, so pages may compute it as well.

import { type Bytes, utf8 } from "./bytes.js";
import * as labels from "./labels.js";
import { ID_SIZE } from "./limits.js";
import { sha256 } from "./primitives.js";

async function idOf(label: string, publicKey: Bytes): Promise<Bytes> {
  return (await sha256(utf8(label), publicKey)).slice(0, ID_SIZE);
}

/** The id of the organisation with this Ed25519 identity key. */
export function organisationId(identity: Bytes): Promise<Bytes> {
  return idOf(labels.ORGANISATION, identity);
}

/** The id of a public X-Wing key. */
export function keyId(publicKey: Bytes): Promise<Bytes> {
  return idOf(labels.KEY, publicKey);
}
