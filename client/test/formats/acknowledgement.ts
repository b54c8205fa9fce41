// Acknowledgements and reports: the small items that cross the air gap (docs/format.md, 5.4 and 5.5). Like bundle.ts,
// no part of the page.

import { demand } from "../../src/errors.js";
import { type Bytes, compare, toBase64, toHex } from "../../src/formats/base/bytes.js";
import { decode, encode, type Json } from "../../src/formats/base/canonical.js";
import * as fields from "../../src/formats/base/fields.js";
import { HASH_SIZE, SIGNATURE_SIZE } from "../../src/formats/base/limits.js";
import { verify } from "../../src/formats/base/primitives.js";

const ACK = "tipbox/v1/ack";
const MAX_ACKS = 100_000;
const MAX_REPORT_BUNDLES = 1000;
const MAX_REPORT_VOLUMES = 64;

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

/** An inward Bundle that was taken whole, and SHA-256 of each volume's index as it was read. */
export interface TakenBundle {
  readonly sequence: number;
  readonly indexes: readonly Bytes[];
}

/** What a server took: inward Bundles, ascending by sequence, and the replies that it refused. */
export interface Report {
  readonly bundles: readonly TakenBundle[];
  readonly refused: readonly Refusal[];
}

/** The item's bytes. */
export function encodeReport({ bundles, refused }: Report): Bytes {
  return encode({
    bundles: bundles.map(({ sequence, indexes }) => ({ indexes: indexes.map(toHex), sequence })),
    refused: refused.map(({ item, code }) => ({ code, item: toHex(item) })),
  });
}

function parseTaken(value: Json): TakenBundle {
  const entry = fields.members(value, ["indexes", "sequence"]);
  const indexes = fields.list(entry["indexes"]);
  demand(1 <= indexes.length && indexes.length <= MAX_REPORT_VOLUMES, "malformed");
  return {
    sequence: fields.integer(entry["sequence"], 1, Number.MAX_SAFE_INTEGER),
    indexes: indexes.map((index) => fields.hex(index, HASH_SIZE)),
  };
}

/** Reads a report. Throws `limit`, `malformed`. */
export function parseReport(data: Bytes): Report {
  const value = fields.members(decode(data), ["bundles", "refused"]);
  const listed = fields.list(value["bundles"]);
  demand(listed.length <= MAX_REPORT_BUNDLES, "limit");
  const bundles = listed.map(parseTaken);
  demand(
    bundles.every(({ sequence }, i) => i === 0 || (bundles[i - 1]?.sequence ?? sequence) < sequence),
    "malformed",
  );
  const refused = fields.list(value["refused"]).map((entry) => {
    const refusal = fields.members(entry, ["code", "item"]);
    return { item: fields.hex(refusal["item"], HASH_SIZE), code: fields.text(refusal["code"]) };
  });
  return { bundles, refused };
}
