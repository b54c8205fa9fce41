// A server of mailboxes that speaks docs/protocol.md, section 3.1, on loopback; and replies, sealed as a desk seals
// them.

import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Bytes, compare, concat, equal, isZero, toHex, utf8 } from "../../src/formats/base/bytes.js";
import {
  ENTRY_SIZE,
  HASH_SIZE,
  HEADER_FIXED,
  KEY_SIZE,
  LIST_HEADER,
  LIST_REQUEST,
  LIST_SIZE,
  MAX_REPLIES,
  PIECE_SIZE,
  TAG_SIZE,
} from "../../src/formats/base/limits.js";
import { random, sha256 } from "../../src/formats/base/primitives.js";
import { parseHeader, REPLY } from "../../src/formats/envelopes/header.js";
import type { ReplyLetter } from "../../src/formats/envelopes/letter.js";
import { encodeList } from "../formats/encoders.js";
import { readEnvelope } from "../formats/envelopes/envelope_opening.js";
import { sealReply } from "../formats/envelopes/reply_sealing.js";

/** A reply as the server holds it. */
export interface Deposit {
  /** The address of the mailbox. */
  readonly mailbox: Bytes;
  readonly id: Bytes;
  readonly day: number;
  readonly envelope: Bytes;
  readonly opening: Bytes;
}

/** Seals a reply of these files. */
export function reply(
  pairKey: Bytes,
  message: string,
  files: readonly { readonly name: string; readonly content: Bytes }[] = [],
  changes: Partial<ReplyLetter> = {},
): Promise<Bytes> {
  return sealReply(
    pairKey,
    {
      message: utf8(message),
      files: files.map(({ name, content }) => ({ name, size: content.length, type: "" })),
      id: random(16),
      language: "ru",
      answers: new Uint8Array(0),
      day: 20_000,
      ...changes,
    },
    files.map(({ content }) => content),
  );
}

/** Where letter and body of a reply part. */
export function openingSize(envelope: Bytes): number {
  return HEADER_FIXED + parseHeader(envelope.slice(0, HEADER_FIXED)).letterSize + TAG_SIZE;
}

/** An Envelope as it lies in a mailbox since `day`. */
export async function deposit(mailbox: Bytes, envelope: Bytes, day = 20_000): Promise<Deposit> {
  const { id } = await readEnvelope(envelope, REPLY);
  return { mailbox, id, day, envelope, opening: envelope.slice(0, openingSize(envelope)) };
}

/** The list of these replies for a request of tokens with these addresses: as many letters as fit. */
export function listOf(deposits: readonly Deposit[], addresses: readonly Bytes[]): Bytes {
  const sorted = deposits
    .map((one) => ({ ...one, place: addresses.findIndex((address) => equal(address, one.mailbox)) }))
    .filter(({ place }) => place >= 0)
    .sort((one, other) => other.day - one.day || compare(one.id, other.id));
  const entries = sorted.map(({ id, day, envelope, opening, place }) => ({
    id,
    day,
    size: envelope.length,
    openingSize: opening.length,
    place,
  }));
  let size = LIST_HEADER + ENTRY_SIZE * sorted.length;
  const fitting = sorted.findIndex(({ opening }) => {
    size += opening.length;
    return size > LIST_SIZE;
  });
  return encodeList({
    entries,
    openings: sorted.slice(0, fitting < 0 ? sorted.length : fitting).map(({ opening }) => opening),
  });
}

/** The tokens at the start of a request. Throws unless they are strictly ascending. */
function tokensIn(body: Bytes): Bytes[] {
  const tokens = Array.from({ length: LIST_REQUEST / KEY_SIZE }, (_, i) =>
    body.slice(i * KEY_SIZE, (i + 1) * KEY_SIZE),
  );
  if (tokens.some((token, i) => i > 0 && compare(tokens[i - 1] ?? token, token) >= 0)) throw new Error("malformed");
  return tokens;
}

/** A server of mailboxes. */
export class Postbox {
  deposits: Deposit[] = [];
  /** `path size` of each request, and the size of what it was answered. */
  readonly seen: string[] = [];
  /** The tokens of each request. */
  readonly tokens: string[][] = [];
  /** Answers that are lost: so many of the next ones. */
  losses = 0;
  /** The path whose requests get no answer. */
  stalls: string | null = null;
  /** The path of each request, answered or not. */
  readonly asked: string[] = [];
  /** Changes what is answered. */
  spoil: (answer: Bytes, path: string) => Bytes = (answer) => answer;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#read(request)
        .then(async (body) => {
          if (this.losses > 0) {
            this.losses--;
            request.socket.destroy();
            return;
          }
          if (request.headers.authorization !== undefined || request.method !== "POST") throw new Error("malformed");
          const path = (request.url ?? "").replace("/api/mailbox", "");
          this.asked.push(path);
          if (path === this.stalls) return;
          const answer = this.spoil(await this.#answer(path, body), path);
          this.seen.push(`${path} ${body.length} ${answer.length}`);
          response.writeHead(200, { "Content-Type": "application/octet-stream" }).end(answer);
        })
        .catch(() => response.writeHead(400).end("{}"));
    });
  }

  static async start(): Promise<Postbox> {
    const postbox = new Postbox();
    await new Promise<void>((resolve) => postbox.#server.listen(0, "127.0.0.1", resolve));
    return postbox;
  }

  get api(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/api/mailbox`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #read(request: IncomingMessage): Promise<Bytes> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    return concat(...chunks);
  }

  async #answer(path: string, body: Bytes): Promise<Bytes> {
    const tokens = tokensIn(body);
    this.tokens.push(tokens.map(toHex));
    const addresses = await Promise.all(tokens.map((token) => sha256(token)));
    const isAsked = ({ mailbox }: Deposit): boolean => addresses.some((address) => equal(address, mailbox));
    const rest = body.slice(LIST_REQUEST);
    if (path === "" && rest.length === 0) return listOf(this.deposits, addresses);
    if (path === "/piece" && rest.length === HASH_SIZE + 4) {
      const found = this.deposits.filter(isAsked).find(({ id }) => equal(id, rest.slice(0, HASH_SIZE)));
      const at = new DataView(rest.buffer).getUint32(HASH_SIZE) * PIECE_SIZE;
      const piece = new Uint8Array(PIECE_SIZE);
      piece.set(found?.envelope.slice(at, at + PIECE_SIZE) ?? piece);
      return piece;
    }
    if (path === "/delete" && rest.length === MAX_REPLIES * HASH_SIZE) {
      const named = new Set<string>();
      for (let at = 0; at < rest.length; at += HASH_SIZE)
        if (!isZero(rest.slice(at, at + HASH_SIZE))) named.add(toHex(rest.slice(at, at + HASH_SIZE)));
      this.deposits = this.deposits.filter((one) => !(isAsked(one) && named.has(toHex(one.id))));
      return new Uint8Array(HASH_SIZE);
    }
    throw new Error(`malformed: ${path}`);
  }
}
