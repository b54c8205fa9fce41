// Reading answers without a network: requests go out as files, and what a server answered to them comes back as files.
// Each file of an answer comes in pieces, one request each, which may be answered in any order and on any day.

import { TipboxError } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { ANSWER_PIECE_SIZE, parseAnswerPiece } from "../formats/answer_piece.js";
import { type Bytes, concat, fromHex, toHex, uint } from "../formats/base/bytes.js";
import { ENVELOPE_PART_SIZE, HASH_SIZE, ID_SIZE, LIST_SIZE, PART_SIZE, PIECE_SIZE } from "../formats/base/limits.js";
import type { Organisation } from "../messages.js";
import {
  type AskMailbox,
  type ListedReply,
  MailboxClient,
  type MailboxContents,
  type ReadableReply,
} from "../net/mailbox_client.js";

/** Where the number of a piece stands in a request, behind tokens and reply id. */
const NUMBER = 4;

async function readWhole(file: Blob, size: number): Promise<Bytes> {
  if (file.size !== size) throw new TipboxError("malformed");
  return new Uint8Array(await file.arrayBuffer());
}

/** The mailboxes of a source, as files know them. */
export class SavedMailboxes {
  readonly #root: Bytes;
  readonly #organisations: readonly Bytes[];
  #list: Blob = new Blob([]);
  /** Answers to requests for pieces, by reply id and number. */
  readonly #pieces = new Map<string, Blob>();

  private constructor(
    root: Bytes,
    organisations: readonly Bytes[],
    /** The digits of the access code. */
    readonly digits: string,
  ) {
    this.#root = root;
    this.#organisations = organisations;
  }

  /** Those of an access code, of the organisations that the page lists. */
  static async of(accessCode: Bytes, listed: readonly Organisation[]): Promise<SavedMailboxes> {
    const ids = listed.map(({ id }) => fromHex(id)).filter((id): id is Bytes => id !== null && id.length === ID_SIZE);
    return new SavedMailboxes(await accessCodes.rootOf(accessCode), ids, accessCodes.digits(accessCode));
  }

  /** The request for the list: 32 tokens. */
  async request(): Promise<Bytes> {
    const tokens = await accessCodes.mailboxRequest(this.#root, this.#organisations);
    return concat(...tokens.map(({ token }) => token));
  }

  /** The request for one piece of a reply. */
  pieceRequest({ entry, tokens }: ListedReply, number: number): Bytes {
    return concat(...tokens.map(({ token }) => token), entry.id, uint(number, NUMBER));
  }

  /** Opens a list that was saved. Throws `not-tipbox` and the like for what is none. */
  open(list: Blob): Promise<{ readonly client: MailboxClient; readonly contents: MailboxContents }> {
    this.#list = list;
    const client = new MailboxClient(this.#bring, this.#root, { held: this.#organisations, named: [] });
    return client.open().then((contents) => ({ client, contents }));
  }

  /** Keeps an answer to a request for a piece, whichever it is. Throws `not-tipbox` and the like for what is none. */
  async keep(answer: Blob): Promise<void> {
    const { reply, number } = parseAnswerPiece(await readWhole(answer, ANSWER_PIECE_SIZE));
    this.#pieces.set(`${toHex(reply)}/${number}`, answer); // its bytes stay on the disk until they are needed
  }

  /** Whether the answer for this piece is here. */
  has({ entry }: ListedReply, number: number): boolean {
    return this.#pieces.has(`${toHex(entry.id)}/${number}`);
  }

  readonly #bring: AskMailbox = async (path, body) => {
    if (path === "") return readWhole(this.#list, LIST_SIZE);
    const id = toHex(body.subarray(-NUMBER - HASH_SIZE, -NUMBER));
    const number = new DataView(body.buffer, body.byteOffset + body.length - NUMBER).getUint32(0);
    const piece = this.#pieces.get(`${id}/${number}`);
    if (path !== "/piece" || piece === undefined) throw new TipboxError("incomplete");
    return parseAnswerPiece(await readWhole(piece, ANSWER_PIECE_SIZE)).data;
  };

  wipe(): void {
    this.#root.fill(0);
    this.#pieces.clear();
    this.#list = new Blob([]);
  }
}

/** Numbers from `first` to `last`. */
function between(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}

/** Numbers of the pieces that have the letter of a reply. */
export function piecesOfLetter({ entry }: ListedReply): number[] {
  return between(0, Math.floor((entry.openingSize - 1) / PIECE_SIZE));
}

/** Numbers of the pieces that have a file of a reply; none for an empty one. */
export function piecesOfFile({ entry, letter }: ReadableReply, index: number): number[] {
  const size = letter.files[index]?.size ?? 0;
  const start = letter.files.slice(0, index).reduce((sum, file) => sum + file.size, 0);
  if (size === 0) return [];
  const first = entry.openingSize + Math.floor(start / PART_SIZE) * ENVELOPE_PART_SIZE;
  const end = entry.openingSize + (Math.floor((start + size - 1) / PART_SIZE) + 1) * ENVELOPE_PART_SIZE;
  return between(Math.floor(first / PIECE_SIZE), Math.floor((Math.min(end, entry.size) - 1) / PIECE_SIZE));
}
