// Reading a whole Envelope in memory, as a desk does it: in its order, which names the outcome (docs/format.md, 4.5). A
// page never holds one: it opens replies file by file.

import { demand } from "../../../src/errors.js";
import { type Bytes, concat, equal, isZero } from "../../../src/formats/base/bytes.js";
import { SEAL_SIZE } from "../../../src/formats/base/limits.js";
import { partsOf, sealedBodyPartSize } from "../../../src/formats/base/padding.js";
import { sha256 } from "../../../src/formats/base/primitives.js";
import { BodyOpener } from "../../../src/formats/envelopes/body.js";
import { type SealedHead, splitHead } from "../../../src/formats/envelopes/envelope.js";
import { type Kind, type SlotSecrets, TIP, trailerSize } from "../../../src/formats/envelopes/header.js";
import { type Letter, openLetter } from "../../../src/formats/envelopes/letter.js";
import { envelopeHash, envelopeId, tag } from "../../../src/formats/envelopes/seals.js";
import { type FindKey, openSlot } from "./slot_opening.js";

/** An Envelope that takes up all of its bytes; nothing of it is open. */
export interface WholeEnvelope extends SealedHead {
  readonly headerHash: Bytes;
  readonly parts: readonly Bytes[];
  readonly trailer: Bytes;
  readonly hash: Bytes;
  readonly id: Bytes;
}

/** The sealed parts of a body at the front of `rest`, in order. Throws `incomplete` at one that is not whole. */
function* partsIn(rest: Bytes, bodySize: number): Generator<Bytes> {
  let offset = 0;
  for (let counter = 0; counter < partsOf(bodySize); counter++) {
    const end = offset + sealedBodyPartSize(bodySize, counter);
    demand(end <= rest.length, "incomplete");
    yield rest.slice(offset, end);
    offset = end;
  }
}

/** Takes an Envelope of that kind apart, without keys. */
export async function readEnvelope(bytes: Bytes, kind: Kind = TIP): Promise<WholeEnvelope> {
  const { head, rest } = splitHead(bytes, kind);
  const parts = [...partsIn(rest, head.header.bodySize)];
  const trailer = rest.slice(parts.reduce((size, part) => size + part.length, 0));
  demand(trailer.length >= trailerSize(head.header), "incomplete");
  demand(trailer.length === trailerSize(head.header), "trailing");
  const headerHash = await sha256(head.headerBytes);
  const hash = await envelopeHash(headerHash, head.letter, await Promise.all(parts.map((part) => sha256(part))));
  return { ...head, headerHash, parts, trailer, hash, id: await envelopeId(hash, trailer) };
}

/**
 * Opens the body at the front of `rest`, part by part, and cuts it back into files. Throws `tampered`, `incomplete`, or
 * `malformed` when what is behind the files is not zero.
 */
export async function openFiles(
  headerHash: Bytes,
  { bodyKey, files }: Letter,
  bodySize: number,
  rest: Bytes,
): Promise<Bytes[]> {
  const opener = await BodyOpener.create(headerHash, bodyKey, bodySize);
  const filled = files.reduce((sum, file) => sum + file.size, 0);
  const pieces: Bytes[] = [];
  let read = 0;
  for (const part of partsIn(rest, bodySize)) {
    const piece = await opener.open(pieces.length, part);
    demand(isZero(piece.subarray(Math.max(0, filled - read))), "malformed");
    pieces.push(piece);
    read += piece.length;
  }
  const body = concat(...pieces);
  let offset = 0;
  return files.map((file) => body.slice(offset, (offset += file.size)));
}

/** An opened Envelope, with what its slot held. */
export interface OpenEnvelope extends SlotSecrets {
  readonly whole: WholeEnvelope;
  readonly letter: Letter;
  readonly files: readonly Bytes[];
}

/**
 * Opens a tip as one of its readers; nothing of it is returned unless all of it opens and it has its source's seal. The
 * first failure names the outcome, also when the Envelope ends early.
 */
export async function open(bytes: Bytes, organisation: Bytes, findKey: FindKey): Promise<OpenEnvelope> {
  const { head, rest } = splitHead(bytes, TIP);
  const { header } = head;
  const slot = await openSlot(header, organisation, findKey);
  const headerHash = await sha256(head.headerBytes);
  const letter = await openLetter(header, headerHash, slot.contentKey, head.letter);
  const files = await openFiles(headerHash, letter, header.bodySize, rest);
  const whole = await readEnvelope(bytes);
  const at = SEAL_SIZE * header.slots.findIndex((one) => equal(one.organisation, organisation));
  demand(equal(await tag(header.salt, slot, whole.hash), whole.trailer.slice(at, at + SEAL_SIZE)), "forged");
  return { ...slot, whole, letter, files };
}
