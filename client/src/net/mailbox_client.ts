// A mailbox as its source reads it: the list, letters that did not fit into it, files, and deleting. Every request and every
// answer has one size, whatever is in them (docs/protocol.md, section 3.1).

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

/** What the list held: replies that can be shown, entries whose letter did not fit, and how many others. */
export interface MailboxContents {
  readonly shown: readonly ReadableReply[];
  readonly pending: readonly Entry[];
  readonly others: number;
}

/** Errors of a reply that cannot be shown; all others are errors of the line or of this software. */
function isOfTheReply(error: unknown): boolean {
  return !["network", "slow-down", "unavailable", "stopped", "internal", "unsupported"].includes(codeOf(error));
}

export class MailboxClient {
  readonly #connection: Connection;
  readonly #api: string;
  readonly #secrets: Secrets;
  readonly #organisations: readonly Bytes[];
  /** SHA-256 of each letter that was looked at: the same reply under another id counts once. */
  readonly #seen = new Set<string>();

  /** `api` is the address of `/api/mailbox`; the secrets' root is needed as long as replies are opened. */
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

  /** Fetches the list and opens what it holds. Throws when the list is not one, never for what is in it. */
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

  /** Opens a letter; `null` for what does not open, comes again, or is from nobody who is known. */
  async #read(entry: Entry, opening: Bytes): Promise<ReadableReply | null> {
    try {
      const head = readHead(opening);
      const { bodySize } = head.header;
      demand(entry.size === opening.length + sealedSize(bodySize), "malformed");
      // With a body the parts are proved one by one, as they come.
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
   * Fetches one file of a reply, part by part, and gives it back only when its last part has opened. `onBytes` hears how many
   * bytes came. Throws `tampered` or `incomplete` for a file that is damaged.
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
    // Of no type: the browser is to save it, and to guess nothing.
    const blob = new Blob(pieces, { type: "application/octet-stream" });
    demand(blob.size === size, "internal");
    return blob;
  }

  /** Deletes replies. They are durably gone when this returns. */
  async delete(entries: readonly Entry[]): Promise<void> {
    if (entries.length > MAX_REPLIES) throw new TipboxError("internal");
    const body = new Uint8Array(DELETE_SIZE);
    body.set(concat(...entries.map(({ id }) => id)));
    demand(isZero(await this.#ask("/delete", body, DELETED_SIZE)), "network");
  }

  /** The bytes of an Envelope between two offsets, in the pieces in which they come. */
  async *#stream(entry: Entry, from: number, to: number): AsyncGenerator<Bytes> {
    for (let number = Math.floor(from / PIECE_SIZE); number * PIECE_SIZE < to; number++) {
      const piece = await this.#ask("/piece", concat(entry.id, uint(number, 4)), PIECE_SIZE);
      const offset = number * PIECE_SIZE;
      yield piece.slice(Math.max(0, from - offset), Math.min(PIECE_SIZE, to - offset));
    }
  }
}
