// Reads pieces of a tip (docs/format.md, section 12): for the vectors. Pages only write them.

import { demand } from "../../../src/errors.js";
import { type Bytes, equal } from "../../../src/formats/base/bytes.js";
import {
  HASH_SIZE,
  HEADER_FIXED,
  HEADER_PREFIX,
  MAX_LETTER,
  MAX_PIECE_PARTS,
  MAX_PIECES,
  MAX_SLOTS,
  PIECE_FIXED,
  PIECE_MAGIC,
  SLOT_SIZE,
  TAG_SIZE,
  VERSION,
} from "../../../src/formats/base/limits.js";
import { partsOf, sealedBodyPartSize } from "../../../src/formats/base/padding.js";
import { sha256 } from "../../../src/formats/base/primitives.js";
import { headerSize, parseHeader, TIP, trailerSize } from "../../../src/formats/envelopes/header.js";
import { encodePieceHead, type PieceHead, piecesOf } from "../../../src/formats/envelopes/pieces.js";

const magic = Uint8Array.from(PIECE_MAGIC, (char) => char.charCodeAt(0));
const MAX_OPENING = HEADER_FIXED + MAX_SLOTS * SLOT_SIZE + MAX_LETTER + TAG_SIZE;

/** A piece, and its parts by their numbers in the Envelope; `null` for a damaged one. */
export interface Piece {
  readonly head: PieceHead;
  readonly headSize: number;
  readonly parts: readonly (readonly [number, Bytes | null])[];
}

/** Reads a piece that takes up `bytes` exactly. */
export async function readPiece(bytes: Bytes): Promise<Piece> {
  const start = bytes.slice(0, magic.length);
  demand(equal(start, magic.slice(0, start.length)), "not-tipbox");
  demand(bytes.length >= PIECE_FIXED, "truncated");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [number, count, partsEach, size] = [12, 16, 20, 24].map((at) => view.getUint32(at)) as [
    number,
    number,
    number,
    number,
  ];
  demand(bytes[8] === VERSION, "version");
  demand(1 <= count && count <= MAX_PIECES && 1 <= partsEach && partsEach <= MAX_PIECE_PARTS, "limit");
  demand(size <= MAX_OPENING, "limit");
  let offset = PIECE_FIXED;
  const take = (length: number, code: "truncated" | "incomplete" = "truncated"): Bytes => {
    demand(offset + length <= bytes.length, code);
    return bytes.slice(offset, (offset += length));
  };
  const opening = take(size);
  const header = parseHeader(opening.slice(0, headerSize(opening.slice(0, HEADER_PREFIX))));
  demand(header.kind === TIP, "malformed");
  demand(view.getUint32(8) === VERSION * 2 ** 24 && view.getUint32(28) === 0, "malformed");
  const parts = partsOf(header.bodySize);
  demand(size === headerSize(opening) + header.letterSize + TAG_SIZE, "malformed");
  demand(number < count && count === piecesOf(parts, partsEach), "malformed");
  const held = Math.min(partsEach, parts - number * partsEach);
  const partHashes = Array.from({ length: held }, () => take(HASH_SIZE));
  const end = number === count - 1 ? take(HASH_SIZE + trailerSize(header)) : new Uint8Array();
  const check = take(HASH_SIZE);
  const head = { token: bytes.slice(32, PIECE_FIXED), number, count, partsEach, opening, partHashes, end };
  demand(equal((await encodePieceHead(head)).slice(-HASH_SIZE), check), "malformed");
  const headSize = offset;
  const found: (readonly [number, Bytes | null])[] = [];
  for (const [i, hash] of partHashes.entries()) {
    const index = number * partsEach + i;
    const part = take(sealedBodyPartSize(header.bodySize, index), "incomplete");
    found.push([index, equal(await sha256(part), hash) ? part : null]);
  }
  demand(offset === bytes.length, "trailing");
  return { head, headSize, parts: found };
}
