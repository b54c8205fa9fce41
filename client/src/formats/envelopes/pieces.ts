// Pieces of a tip (docs/format.md, section 12): each says where it belongs, and can be sent, doubled and lost alone.

import { demand } from "../../errors.js";
import { type Bytes, concat, uint, utf8 } from "../base/bytes.js";
import * as labels from "../base/labels.js";
import { MAX_PIECE_PARTS, MAX_PIECES, PIECE_MAGIC, VERSION } from "../base/limits.js";
import { random, sha256 } from "../base/primitives.js";

const magic = Uint8Array.from(PIECE_MAGIC, (char) => char.charCodeAt(0));
const MARK = "bcdfghjkmnpqrstv";
const MARK_SIZE = 6;

/** A random mark for the file names of one tip: six letters, of nothing that is in the files. */
export function newMark(): string {
  return [...random(MARK_SIZE)].map((byte) => MARK.charAt(byte % MARK.length)).join("");
}

/** What a piece says before its parts. */
export interface PieceHead {
  /** The draft token, one for all pieces of a tip. */
  readonly token: Bytes;
  /** Of this piece, from 0. */
  readonly number: number;
  readonly count: number;
  /** Parts of each piece but the last. */
  readonly partsEach: number;
  /** Header ‖ letter of the Envelope. */
  readonly opening: Bytes;
  /** SHA-256 of each part that follows. */
  readonly partHashes: readonly Bytes[];
  /** Envelope hash ‖ trailer in the last piece; else empty. */
  readonly end: Bytes;
}

/** How many pieces a tip of so many parts has; one without a body has one. */
export function piecesOf(parts: number, partsEach: number): number {
  demand(1 <= partsEach && partsEach <= MAX_PIECE_PARTS, "limit");
  const count = Math.max(1, Math.ceil(parts / partsEach));
  demand(count <= MAX_PIECES, "limit");
  return count;
}

function fixed({ token, count, partsEach, opening }: PieceHead, number: number): Bytes {
  const numbers = [uint(number, 4), uint(count, 4), uint(partsEach, 4), uint(opening.length, 4), uint(0, 4)];
  return concat(magic, uint(VERSION, 1), uint(0, 1), uint(0, 2), ...numbers, token);
}

/** The bytes before the parts. */
export async function encodePieceHead(head: PieceHead): Promise<Bytes> {
  const said = concat(fixed(head, head.number), head.opening, ...head.partHashes, head.end);
  return concat(said, await sha256(utf8(labels.PIECE), said));
}

/** 32 bytes that all pieces of one tip have in common, and those of no other. */
export function familyOf(head: PieceHead): Promise<Bytes> {
  return sha256(utf8(labels.PIECE), fixed(head, 0), head.opening);
}
