// A source's side of its mailboxes: the list, letters that did not fit into it, files, and deleting. Requests and
// answers of a kind always have the same size, so that traffic does not show whether there are replies
// (docs/protocol.md, section 3.1).

import { codeOf, demand, TipboxError } from "../errors.js";
import { mailboxRequest, pairKey, type RequestToken } from "../formats/access_code.js";
import { type Bytes, compare, concat, equal, isZero, toHex, uint } from "../formats/base/bytes.js";
import {
  DELETED_SIZE,
  ENVELOPE_PART_SIZE,
  HASH_SIZE,
  LIST_SIZE,
  MAILBOX_TOKENS,
  MAX_REPLIES,
  MOST_MAILBOX_REQUESTS,
  PART_SIZE,
  PIECE_SIZE,
} from "../formats/base/limits.js";
import { sealedBodySize } from "../formats/base/padding.js";
import { sha256 } from "../formats/base/primitives.js";
import { BodyOpener } from "../formats/envelopes/body.js";
import { readHead } from "../formats/envelopes/envelope.js";
import { REPLY } from "../formats/envelopes/header.js";
import type { ReplyLetter } from "../formats/envelopes/letter.js";
import { openReply } from "../formats/envelopes/reply.js";
import { envelopeHash, envelopeId } from "../formats/envelopes/seals.js";
import { type Entry, parseList } from "../formats/mailbox_list.js";

/**
 * Brings a request for these mailboxes to the server, and its answer back: `path` is what follows `/api/mailbox`. By a
 * connection (mailbox_line.ts), or as files that somebody carries.
 */
export type AskMailbox = (path: "" | "/piece" | "/delete", body: Bytes, expected: number) => Promise<Bytes>;

/** A reply, with the tokens of the request that it came with. */
export interface ListedReply {
  readonly entry: Entry;
  readonly tokens: readonly RequestToken[];
}

/** A reply whose letter is open. */
export interface ReadableReply extends ListedReply {
  /** The id of the organisation in whose mailbox it lay, and whose pair key opened it. */
  readonly organisation: Bytes;
  readonly letter: ReplyLetter;
  readonly headerHash: Bytes;
  /** Padded bytes of the body. */
  readonly bodySize: number;
}

/** Replies that can be shown, those whose letter did not fit into the list, and how many cannot be shown. */
export interface MailboxContents {
  readonly shown: readonly ReadableReply[];
  readonly pending: readonly ListedReply[];
  readonly others: number;
  /** Organisations that were not asked for: the server names more than anybody asks for. */
  readonly leftOut: number;
}

/** Ids of organisations whose replies may be in mailboxes. */
export interface Whose {
  /** Those whose manifests the page holds: they are asked for first, so that no server crowds them out. */
  readonly held: readonly Bytes[];
  /** All that the server names. */
  readonly named: readonly Bytes[];
}

/** All of them, in the order in which they are asked for. */
function inOrder({ held, named }: Whose): Bytes[] {
  const isHeld = (id: Bytes): boolean => held.some((one) => equal(one, id));
  return [...[...held].sort(compare), ...named.filter((id) => !isHeld(id)).sort(compare)];
}

/** Whether an error means that a reply cannot be shown; others are errors of the connection or of this software. */
function isOfTheReply(error: unknown): boolean {
  return !["network", "slow-down", "unavailable", "stopped", "internal", "unsupported"].includes(codeOf(error));
}

export class MailboxClient {
  readonly #bring: AskMailbox;
  readonly #root: Bytes;
  readonly #organisations: readonly Bytes[];
  /** SHA-256 of each letter that was opened: a server cannot show one reply twice under two ids. */
  readonly #seen = new Set<string>();

  /** The root must not be wiped while replies are opened. */
  constructor(bring: AskMailbox, root: Bytes, whose: Whose) {
    this.#bring = bring;
    this.#root = root;
    this.#organisations = inOrder(whose);
  }

  #ask(
    path: "" | "/piece" | "/delete",
    tokens: readonly RequestToken[],
    rest: Bytes,
    expected: number,
  ): Promise<Bytes> {
    return this.#bring(path, concat(...tokens.map(({ token }) => token), rest), expected);
  }

  /** Fetches the lists and opens what they hold. Throws for a malformed list, never for a reply in it. */
  async open(): Promise<MailboxContents> {
    const shown: ReadableReply[] = [];
    const pending: ListedReply[] = [];
    let others = 0;
    const most = MAILBOX_TOKENS * MOST_MAILBOX_REQUESTS;
    const asked = this.#organisations.slice(0, most);
    for (let at = 0; at < asked.length; at += MAILBOX_TOKENS) {
      const tokens = await mailboxRequest(this.#root, asked.slice(at, at + MAILBOX_TOKENS));
      const { entries, openings } = parseList(await this.#ask("", tokens, new Uint8Array(0), LIST_SIZE));
      for (const [i, entry] of entries.entries()) {
        const opening = openings[i];
        if (opening === undefined) pending.push({ entry, tokens });
        else {
          const reply = await this.#read({ entry, tokens }, opening);
          if (reply === null) others++;
          else shown.push(reply);
        }
      }
    }
    return { shown, pending, others, leftOut: this.#organisations.length - asked.length };
  }

  /** Fetches a letter that did not fit into the list; `null` when it cannot be shown. */
  async load(listed: ListedReply): Promise<ReadableReply | null> {
    const pieces: Bytes[] = [];
    for await (const piece of this.#stream(listed, 0, listed.entry.openingSize)) pieces.push(piece);
    return this.#read(listed, concat(...pieces));
  }

  /** Opens a letter; `null` if it does not open, was seen before, or lies in a mailbox that no organisation has. */
  async #read(listed: ListedReply, opening: Bytes): Promise<ReadableReply | null> {
    const { entry, tokens } = listed;
    try {
      const organisation = tokens[entry.place]?.organisation ?? null;
      demand(organisation !== null, "not-for-you");
      const head = readHead(opening, REPLY);
      const { bodySize } = head.header;
      demand(entry.size === opening.length + sealedBodySize(bodySize), "malformed");
      // The id of an Envelope with a body covers parts that are not here yet; each of them is authenticated when it
      // comes.
      if (bodySize === 0) {
        const hash = await envelopeHash(await sha256(head.headerBytes), head.letter, []);
        demand(equal(await envelopeId(hash), entry.id), "malformed");
      }
      const hash = toHex(await sha256(opening));
      demand(!this.#seen.has(hash), "trailing");
      const shared = await pairKey(this.#root, organisation);
      const { letter, headerHash } = await openReply(head, shared).finally(() => shared.fill(0));
      // Only now: a copy in the mailbox of another organisation, which does not open there, must not hide this one.
      this.#seen.add(hash);
      return { ...listed, organisation, letter, headerHash, bodySize };
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
      const from = reply.entry.openingSize + first * ENVELOPE_PART_SIZE;
      const to = reply.entry.openingSize + last * ENVELOPE_PART_SIZE + opener.sealedSize(last);
      let held: Bytes = new Uint8Array(0);
      let counter = first;
      for await (const bytes of this.#stream(reply, from, to)) {
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

  /** Deletes replies, all of those that came with one request by one. They are gone for good when this returns. */
  async delete(replies: readonly ListedReply[]): Promise<void> {
    for (const tokens of new Set(replies.map((reply) => reply.tokens))) {
      const ids = replies.filter((reply) => reply.tokens === tokens).map(({ entry }) => entry.id);
      if (ids.length > MAX_REPLIES) throw new TipboxError("internal");
      const named = new Uint8Array(MAX_REPLIES * HASH_SIZE);
      named.set(concat(...ids));
      demand(isZero(await this.#ask("/delete", tokens, named, DELETED_SIZE)), "network");
    }
  }

  /** The bytes of an Envelope between two offsets, piece by piece. */
  async *#stream({ entry, tokens }: ListedReply, from: number, to: number): AsyncGenerator<Bytes> {
    for (let number = Math.floor(from / PIECE_SIZE); number * PIECE_SIZE < to; number++) {
      const piece = await this.#ask("/piece", tokens, concat(entry.id, uint(number, 4)), PIECE_SIZE);
      const offset = number * PIECE_SIZE;
      yield piece.slice(Math.max(0, from - offset), Math.min(PIECE_SIZE, to - offset));
    }
  }
}
