// A source's side of a mailbox: the list, letters that did not fit into it, files, and deleting. Requests and answers
// of a kind always have the same size, so that traffic does not show whether there are replies (docs/protocol.md,
// section 3.1).

import { codeOf, demand, TipboxError } from "../errors.js";
import type { Secrets } from "../formats/access_code.js";
import { type Bytes, concat, equal, isZero, toHex, uint } from "../formats/base/bytes.js";
import {
  DELETE_SIZE,
  DELETED_SIZE,
  LIST_SIZE,
  MAX_REPLIES,
  PART_SIZE,
  PIECE_SIZE,
  SEALED_PART_SIZE,
} from "../formats/base/limits.js";
import { sealedSize } from "../formats/base/padding.js";
import { sha256 } from "../formats/base/primitives.js";
import { BodyOpener } from "../formats/envelopes/body.js";
import { envelopeId, readHead } from "../formats/envelopes/envelope.js";
import { type OpenedReply, openReply } from "../formats/envelopes/reply.js";
import { type Entry, parseList } from "../formats/mailbox_list.js";
import { Connection, type ConnectionOptions } from "./http.js";

/** A reply from an organisation that is known. */
export interface ReadableReply extends OpenedReply {
  readonly entry: Entry;
  readonly organisation: Bytes;
  /** Padded bytes of the body. */
  readonly bodySize: number;
}

/** Replies that can be shown, entries whose letter did not fit into the list, and how many cannot be shown. */
export interface MailboxContents {
  readonly shown: readonly ReadableReply[];
  readonly pending: readonly Entry[];
  readonly others: number;
}

/** Whether an error means that a reply cannot be shown; others are errors of the connection or of this software. */
function isOfTheReply(error: unknown): boolean {
  return !["network", "slow-down", "unavailable", "stopped", "internal", "unsupported"].includes(codeOf(error));
}

export class MailboxClient {
  readonly #connection: Connection;
  readonly #api: string;
  readonly #secrets: Secrets;
  readonly #organisations: readonly Bytes[];
  /** SHA-256 of each letter that was looked at: a server cannot show one reply twice under two ids. */
  readonly #seen = new Set<string>();

  /** `api` is the address of `/api/mailbox`. The secrets must not be wiped while replies are opened. */
  constructor(api: string, secrets: Secrets, organisations: readonly Bytes[], options: ConnectionOptions) {
    this.#api = api;
    this.#secrets = secrets;
    this.#organisations = organisations;
    this.#connection = new Connection(secrets.mailboxToken, options);
  }

  async #ask(path: string, body: Bytes, expected: number): Promise<Bytes> {
    return this.#connection.retry(async () => {
      const answer = await this.#connection.request({ method: "POST", url: this.#api + path, body, expected });
      demand(answer.length === expected, "network");
      return answer;
    });
  }

  /** Fetches the list and opens what it holds. Throws for a malformed list, never for a reply in it. */
  async open(): Promise<MailboxContents> {
    const { entries, openings } = parseList(await this.#ask("", new Uint8Array(0), LIST_SIZE));
    const read: (ReadableReply | null)[] = [];
    for (const [i, entry] of entries.entries()) {
      const opening = openings[i];
      if (opening !== undefined) read.push(await this.#read(entry, opening));
    }
    const shown = read.filter((reply) => reply !== null);
    return { shown, pending: entries.slice(openings.length), others: read.length - shown.length };
  }

  /** Fetches a letter that did not fit into the list; `null` when it cannot be shown. */
  async load(entry: Entry): Promise<ReadableReply | null> {
    const pieces: Bytes[] = [];
    for await (const piece of this.#stream(entry, 0, entry.openingSize)) pieces.push(piece);
    return this.#read(entry, concat(...pieces));
  }

  /** Opens a letter; `null` if it does not open, was seen before, or is not from a known organisation. */
  async #read(entry: Entry, opening: Bytes): Promise<ReadableReply | null> {
    try {
      const head = readHead(opening);
      const { bodySize } = head.header;
      demand(entry.size === opening.length + sealedSize(bodySize), "malformed");
      // The id of an Envelope with a body covers parts that are not here yet; each of them is authenticated when it
      // comes.
      if (bodySize === 0) demand(equal(await envelopeId({ ...head, parts: new Uint8Array(0) }), entry.id), "malformed");
      const hash = toHex(await sha256(opening));
      demand(!this.#seen.has(hash), "trailing");
      this.#seen.add(hash);
      const { organisation, ...reply } = await openReply(head, this.#secrets, this.#organisations);
      return organisation === null ? null : { ...reply, organisation, entry, bodySize };
    } catch (error) {
      if (isOfTheReply(error)) return null;
      throw error;
    }
  }

  /**
   * Fetches one file of a reply, part by part, and returns it only once its last part has opened. `onBytes` is called
   * with the number of bytes of each piece. Throws `tampered` or `incomplete` for a damaged file.
   */
  async file(reply: ReadableReply, index: number, onBytes: (bytes: number) => void): Promise<Blob> {
    const { files, bodyKey } = reply.letter;
    const size = files[index]?.size ?? 0;
    const start = files.slice(0, index).reduce((sum, file) => sum + file.size, 0);
    const opener = await BodyOpener.create(reply.headerHash, bodyKey, reply.bodySize);
    const pieces: Blob[] = [];
    if (size > 0) {
      const first = Math.floor(start / PART_SIZE);
      const last = Math.floor((start + size - 1) / PART_SIZE);
      const from = reply.entry.openingSize + first * SEALED_PART_SIZE;
      const to = reply.entry.openingSize + last * SEALED_PART_SIZE + opener.sealedSize(last);
      let held: Bytes = new Uint8Array(0);
      let counter = first;
      for await (const bytes of this.#stream(reply.entry, from, to)) {
        onBytes(bytes.length);
        held = concat(held, bytes);
        let used = 0;
        for (
          let end = opener.sealedSize(counter);
          counter <= last && used + end <= held.length;
          end = opener.sealedSize(counter)
        ) {
          const part = await opener.open(counter, held.slice(used, used + end));
          const offset = counter * PART_SIZE;
          pieces.push(
            new Blob([part.subarray(Math.max(0, start - offset), Math.min(part.length, start + size - offset))]),
          );
          part.fill(0);
          used += end;
          counter++;
        }
        held = held.slice(used);
      }
      demand(counter === last + 1, "incomplete");
    }
    // Not the type that the sender gave: the browser is to save the file, never to show it.
    const blob = new Blob(pieces, { type: "application/octet-stream" });
    demand(blob.size === size, "internal");
    return blob;
  }

  /** Deletes replies. They are gone for good when this returns. */
  async delete(entries: readonly Entry[]): Promise<void> {
    if (entries.length > MAX_REPLIES) throw new TipboxError("internal");
    const body = new Uint8Array(DELETE_SIZE);
    body.set(concat(...entries.map(({ id }) => id)));
    demand(isZero(await this.#ask("/delete", body, DELETED_SIZE)), "network");
  }

  /** The bytes of an Envelope between two offsets, piece by piece. */
  async *#stream(entry: Entry, from: number, to: number): AsyncGenerator<Bytes> {
    for (let number = Math.floor(from / PIECE_SIZE); number * PIECE_SIZE < to; number++) {
      const piece = await this.#ask("/piece", concat(entry.id, uint(number, 4)), PIECE_SIZE);
      const offset = number * PIECE_SIZE;
      yield piece.slice(Math.max(0, from - offset), Math.min(PIECE_SIZE, to - offset));
    }
  }
}
