// Opening a whole Envelope in memory, as a desk does it. A page never holds one: it opens replies file by file.

import { demand } from "../../../src/errors.js";
import { type Bytes, concat, isZero } from "../../../src/formats/base/bytes.js";
import { sealedSize } from "../../../src/formats/base/padding.js";
import { sha256 } from "../../../src/formats/base/primitives.js";
import { BodyOpener } from "../../../src/formats/envelopes/body.js";
import { type SealedEnvelope, splitHead } from "../../../src/formats/envelopes/envelope.js";
import { type FindKey, openSlot } from "../../../src/formats/envelopes/header.js";
import { type FileEntry, type Letter, openLetter } from "../../../src/formats/envelopes/letter.js";

/** Takes an Envelope apart, without keys. */
export function readEnvelope(bytes: Bytes): SealedEnvelope {
  const { head, rest } = splitHead(bytes);
  const size = sealedSize(head.header.bodySize);
  demand(rest.length >= size, "incomplete");
  demand(rest.length === size, "trailing");
  return { ...head, parts: rest };
}

/** Opens the sealed parts of a body in order. Throws `tampered`, `incomplete`, `trailing`. */
export async function* openBody(headerHash: Bytes, bodyKey: Bytes, size: number, sealed: Bytes): AsyncGenerator<Bytes> {
  const opener = await BodyOpener.create(headerHash, bodyKey, size);
  let offset = 0;
  for (let counter = 0; counter < opener.parts; counter++) {
    const end = offset + opener.sealedSize(counter);
    demand(end <= sealed.length, "incomplete");
    yield opener.open(counter, sealed.slice(offset, end));
    offset = end;
  }
  demand(offset === sealed.length, "trailing");
}

/** Cuts an opened body back into files. Throws `malformed` when the padding behind them is not zero. */
export function splitFiles(body: Bytes, files: readonly FileEntry[]): Bytes[] {
  let offset = 0;
  const contents = files.map((file) => body.slice(offset, (offset += file.size)));
  demand(isZero(body.subarray(offset)), "malformed");
  return contents;
}

/** An opened Envelope. */
export interface OpenEnvelope {
  readonly letter: Letter;
  readonly contentKey: Bytes;
  readonly pairKey: Bytes;
  readonly files: readonly Bytes[];
}

/** Opens an Envelope as one of its readers; nothing of it is returned unless all of it opens. */
export async function open(bytes: Bytes, organisation: Bytes, findKey: FindKey): Promise<OpenEnvelope> {
  const { head: sealed, rest } = splitHead(bytes); // what is missing behind it is found when the parts are opened
  const keys = await openSlot(sealed.header, organisation, findKey);
  const headerHash = await sha256(sealed.headerBytes);
  const letter = await openLetter(sealed.header, headerHash, keys.contentKey, sealed.letter);
  const pieces: Bytes[] = [];
  for await (const piece of openBody(headerHash, letter.bodyKey, sealed.header.bodySize, rest)) pieces.push(piece);
  return { ...keys, letter, files: splitFiles(concat(...pieces), letter.files) };
}
