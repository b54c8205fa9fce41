// Derivations of docs/format.md that no page needs: those of servers and desks.

import { type Bytes, utf8 } from "../../src/formats/base/bytes.js";
import { ID_SIZE } from "../../src/formats/base/limits.js";
import { sha256 } from "../../src/formats/base/primitives.js";

const SERVER = "tipbox/v1/server";
const THREAD = "tipbox/v1/thread";

/** The id of the server with this Ed25519 key; 16 bytes. */
export async function serverId(publicKey: Bytes): Promise<Bytes> {
  return (await sha256(utf8(SERVER), publicKey)).slice(0, ID_SIZE);
}

/** The id of the conversation under a pair key; 16 bytes. */
export async function threadId(pairKey: Bytes): Promise<Bytes> {
  return (await sha256(utf8(THREAD), pairKey)).slice(0, ID_SIZE);
}
