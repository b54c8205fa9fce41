// Answer pieces: a piece of a reply as a file that says where it belongs (docs/format.md, section 13).

import { demand } from "../errors.js";
import { type Bytes, compare, concat, isZero, uint } from "./base/bytes.js";
import { ANSWER_MAGIC, HASH_SIZE, PIECE_SIZE, VERSION } from "./base/limits.js";

const MAGIC = Uint8Array.from(ANSWER_MAGIC, (char) => char.charCodeAt(0));
const NUMBER = 12;
const HEAD = NUMBER + 4 + HASH_SIZE;

export interface AnswerPiece {
  /** The id of the reply. */
  readonly reply: Bytes;
  /** Which piece, from 0. */
  readonly number: number;
  readonly data: Bytes;
}

/** Bytes of an answer piece. */
export const ANSWER_PIECE_SIZE = HEAD + PIECE_SIZE;

/** Reads one. Throws `not-tipbox`, `malformed` or `version`. */
export function parseAnswerPiece(bytes: Bytes): AnswerPiece {
  const start = bytes.slice(0, MAGIC.length);
  demand(compare(start, MAGIC.slice(0, start.length)) === 0, "not-tipbox");
  demand(bytes.length === ANSWER_PIECE_SIZE, "malformed");
  demand(bytes[MAGIC.length] === VERSION, "version");
  demand(isZero(bytes.subarray(MAGIC.length + 1, NUMBER)), "malformed");
  const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(NUMBER);
  return { reply: bytes.slice(NUMBER + 4, HEAD), number, data: bytes.slice(HEAD) };
}

/** The bytes of one. */
export function encodeAnswerPiece({ reply, number, data }: AnswerPiece): Bytes {
  return concat(MAGIC, uint(VERSION, 1), uint(0, 1), uint(0, 2), uint(number, 4), reply, data);
}
