// A server of mailboxes that speaks docs/protocol.md, section 3.1, on loopback; and replies, sealed as a desk seals
// them.

import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Secrets } from "../../src/formats/access_code.js";
import { type Bytes, compare, concat, equal, isZero, toHex, utf8 } from "../../src/formats/base/bytes.js";
import {
  DELETE_SIZE,
  ENTRY_SIZE,
  LIST_HEADER,
  LIST_SIZE,
  PART_SIZE,
  PIECE_SIZE,
} from "../../src/formats/base/limits.js";
import { random } from "../../src/formats/base/primitives.js";
import { envelopeId, seal } from "../../src/formats/envelopes/envelope.js";
import { headerSize, parseHeader } from "../../src/formats/envelopes/header.js";
import type { Letter } from "../../src/formats/envelopes/letter.js";
import { keyId } from "../../src/formats/manifest.js";
import { bearer } from "../../src/net/http.js";
import { encodeList } from "../formats/encoders.js";
import { readEnvelope } from "../formats/envelopes/envelope_opening.js";

/** A reply as the server holds it. */
export interface Deposit {
  readonly id: Bytes;
  readonly day: number;
  readonly envelope: Bytes;
  readonly opening: Bytes;
}

/** Seals a reply of these files. */
export async function reply(
  to: Secrets,
  pairKey: Bytes,
  message: string,
  files: readonly { readonly name: string; readonly content: Bytes }[] = [],
  changes: Partial<Letter> = {},
): Promise<Bytes> {
  const recipient = {
    organisation: to.mailboxAddress.slice(0, 16),
    key: await keyId(to.replyPublic),
    publicKey: to.replyPublic,
    pairKey,
  };
  const sealed = await seal([recipient], {
    message: utf8(message),
    files: files.map(({ name, content }) => ({ name, size: content.length, type: "" })),
    id: random(16),
    kind: "reply",
    language: "ru",
    mailbox: new Uint8Array(0),
    replyKey: new Uint8Array(0),
    ...changes,
  });
  const body = new Uint8Array(sealed.bodySize);
  body.set(concat(...files.map(({ content }) => content)));
  const parts: Bytes[] = [];
  for (let at = 0; at < body.length; at += PART_SIZE)
    parts.push(await sealed.body.seal(body.slice(at, at + PART_SIZE)));
  return concat(sealed.header, sealed.letter, ...parts);
}

/** Where letter and body of an Envelope part. */
export function openingSize(envelope: Bytes): number {
  const size = headerSize(envelope);
  return size + parseHeader(envelope.slice(0, size)).letterSize + 16;
}

/** An Envelope as it lies in a mailbox. */
export async function deposit(envelope: Bytes, day = 20_000): Promise<Deposit> {
  return {
    id: await envelopeId(readEnvelope(envelope)),
    day,
    envelope,
    opening: envelope.slice(0, openingSize(envelope)),
  };
}

/** The list of these replies: as many letters as fit. */
export function listOf(deposits: readonly Deposit[]): Bytes {
  const sorted = [...deposits].sort((one, other) => other.day - one.day || compare(one.id, other.id));
  const entries = sorted.map(({ id, day, envelope, opening }) => ({
    id,
    day,
    size: envelope.length,
    openingSize: opening.length,
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

/** A server with one mailbox. */
export class Postbox {
  deposits: Deposit[] = [];
  /** `path size` of each request, and the size of what it was answered. */
  readonly seen: string[] = [];
  /** Answers that are lost: so many of the next ones. */
  losses = 0;
  /** Changes what is answered. */
  spoil: (answer: Bytes, path: string) => Bytes = (answer) => answer;
  readonly #token: string;
  readonly #server: Server;

  private constructor(token: Bytes) {
    this.#token = bearer(token);
    this.#server = createServer((request, response) => {
      this.#read(request)
        .then((body) => {
          if (this.losses > 0) {
            this.losses--;
            request.socket.destroy();
            return;
          }
          if (request.headers.authorization !== this.#token || request.method !== "POST") throw new Error("no token");
          const path = (request.url ?? "").replace("/api/mailbox", "");
          const answer = this.spoil(this.#answer(path, body), path);
          this.seen.push(`${path} ${body.length} ${answer.length}`);
          response.writeHead(200, { "Content-Type": "application/octet-stream" }).end(answer);
        })
        .catch(() => response.writeHead(400).end("{}"));
    });
  }

  static async start(token: Bytes): Promise<Postbox> {
    const postbox = new Postbox(token);
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

  #answer(path: string, body: Bytes): Bytes {
    if (path === "" && body.length === 0) return listOf(this.deposits);
    if (path === "/piece" && body.length === 36) {
      const found = this.deposits.find(({ id }) => equal(id, body.slice(0, 32)));
      const at = new DataView(body.buffer, body.byteOffset).getUint32(32) * PIECE_SIZE;
      const piece = new Uint8Array(PIECE_SIZE);
      piece.set(found?.envelope.slice(at, at + PIECE_SIZE) ?? piece);
      return piece;
    }
    if (path === "/delete" && body.length === DELETE_SIZE) {
      const named = new Set<string>();
      for (let at = 0; at < body.length; at += 32)
        if (!isZero(body.slice(at, at + 32))) named.add(toHex(body.slice(at, at + 32)));
      this.deposits = this.deposits.filter(({ id }) => !named.has(toHex(id)));
      return new Uint8Array(32);
    }
    throw new Error(`malformed: ${path}`);
  }
}
