// Acknowledgements and reports: the small items that cross the air gap (docs/format.md, 5.4 and 5.5). Like bundle.ts,
// no part of the page.

import { demand } from "../../src/errors.js";
import { type Bytes, compare, toBase64, toHex } from "../../src/formats/base/bytes.js";
import { decode, encode } from "../../src/formats/base/canonical.js";
import * as fields from "../../src/formats/base/fields.js";
import { HASH_SIZE, SIGNATURE_SIZE } from "../../src/formats/base/limits.js";
import { verify } from "../../src/formats/base/primitives.js";

const ACK = "tipbox/v1/ack";
const MAX_ACKS = 100_000;
const MAX_REPORT_BUNDLES = 1000;

/** What a desk has carried: Envelope ids (32 bytes each), ascending. */
export interface Acknowledgement {
  readonly envelopes: readonly Bytes[];
  readonly signature: Bytes;
}

/** The item's bytes. */
export function encodeAcknowledgement({ envelopes, signature }: Acknowledgement): Bytes {
  return encode({ envelopes: envelopes.map(toHex), signature: toBase64(signature) });
}

/** Reads an acknowledgement by the desk with this Ed25519 key. Throws `limit`, `malformed`, `bad-signature`. */
export async function readAcknowledgement(data: Bytes, desk: Bytes): Promise<Acknowledgement> {
  const value = fields.members(decode(data), ["envelopes", "signature"]);
  const listed = fields.list(value["envelopes"]);
  demand(1 <= listed.length && listed.length <= MAX_ACKS, "limit");
  const envelopes = listed.map((envelope) => fields.hex(envelope, HASH_SIZE));
  demand(
    envelopes.every((id, i) => i === 0 || compare(envelopes[i - 1] ?? id, id) < 0),
    "malformed",
  );
  const signature = fields.base64(value["signature"], SIGNATURE_SIZE);
  await verify(ACK, signature, desk, encode({ envelopes: listed }));
  return { envelopes, signature };
}

/** A reply that a server could not deposit: SHA-256 of the item, and why. */
export interface Refusal {
  readonly item: Bytes;
  readonly code: string;
}

/** What a server took: sequences of inward Bundles taken in whole, ascending, and the replies that it refused. */
export interface Report {
  readonly bundles: readonly number[];
  readonly refused: readonly Refusal[];
}

/** The item's bytes. */
export function encodeReport({ bundles, refused }: Report): Bytes {
  return encode({ bundles, refused: refused.map(({ item, code }) => ({ code, item: toHex(item) })) });
}

/** Reads a report. Throws `limit`, `malformed`. */
export function parseReport(data: Bytes): Report {
  const value = fields.members(decode(data), ["bundles", "refused"]);
  const bundles = fields.list(value["bundles"]).map((sequence) => fields.integer(sequence, 1, Number.MAX_SAFE_INTEGER));
  demand(bundles.length <= MAX_REPORT_BUNDLES, "limit");
  demand(
    bundles.every((sequence, i) => i === 0 || (bundles[i - 1] ?? sequence) < sequence),
    "malformed",
  );
  const refused = fields.list(value["refused"]).map((entry) => {
    const refusal = fields.members(entry, ["code", "item"]);
    return { item: fields.hex(refusal["item"], HASH_SIZE), code: fields.text(refusal["code"]) };
  });
  return { bundles, refused };
}
