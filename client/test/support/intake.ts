// An intake that speaks docs/protocol.md on loopback and keeps what it gets in memory; faults are set by the test.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { type Bytes, concat, equal, toHex } from "../../src/formats/base/bytes.js";
import {
  CAPSULE_PLACES,
  CAPSULE_SIZE,
  HASH_SIZE,
  PLACED_SIZE,
  SESSION_NONCE_SIZE,
  TAG_SIZE,
} from "../../src/formats/base/limits.js";
import { partsOf, sealedBodyPartSize } from "../../src/formats/base/padding.js";
import { sha256 } from "../../src/formats/base/primitives.js";
import { headerSize, parseHeader, trailerSize } from "../../src/formats/envelopes/header.js";
import { envelopeHash } from "../../src/formats/envelopes/seals.js";

interface Draft {
  /** What was sent first. */
  readonly front: Bytes;
  readonly header: Bytes;
  readonly letter: Bytes;
  readonly parts: (Bytes | undefined)[];
  readonly bodySize: number;
  readonly trailerSize: number;
  /** Place address and capsule. */
  readonly placed: Bytes;
  trailer: Bytes;
  meddled: boolean;
  stored: boolean;
}

/** Parts that one answer lists. */
const LISTED_PARTS = 100;

/** One request as the intake saw it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  /** Body bytes that arrived. */
  readonly size: number;
  /** The proof of work that it paid with. */
  readonly toll?: string;
}

/** What goes wrong with a request. */
export type Fault =
  /** The line is cut after so many bytes of the body; parts that came whole are kept. */
  | { readonly cutAfter: number }
  /** The request is carried out, its answer lost. */
  | "lost-answer"
  | { readonly status: number; readonly error: string; readonly retryAfter?: number; readonly members?: object };

export class Intake {
  readonly drafts = new Map<string, Draft>();
  /** Every part that ever arrived whole, of every draft, whether it was kept or not. */
  readonly recorded: { readonly headerHash: string; readonly number: number; readonly part: Bytes }[] = [];
  /** Changes what is answered to who continues: capsules, an opening, or ranges. */
  lie: <T>(about: "capsule" | "opening" | "ranges", truth: T, token: string) => T | Promise<T> = (_, truth) => truth;
  readonly seen: Seen[] = [];
  /** Decides for each request, by its number from 0. */
  fault: (request: Seen, number: number) => Fault | null = () => null;
  /** Changes what lies there, once for each draft, when somebody finishes it. */
  meddle: (parts: (Bytes | undefined)[]) => void | Promise<void> = () => undefined;
  /** Parts that came again with other bytes. */
  differing = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch(() => response.destroy());
    });
  }

  /** What is answered to whoever asks for the prices, and how often that was. */
  toll: object = { files: 0, hour: 494_000, letter: 0, long: 0, seed: "A".repeat(43) };
  asked = 0;

  static async start(): Promise<Intake> {
    const intake = new Intake();
    await new Promise<void>((resolve) => intake.#server.listen(0, "127.0.0.1", resolve));
    return intake;
  }

  get api(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/api/envelope`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** All Envelopes that were stored, whole, in the order of their openings. */
  get all(): Bytes[] {
    const stored = [...this.drafts.values()].filter((one) => one.stored);
    return stored.map((draft) => concat(draft.header, draft.letter, ...wholeParts(draft), draft.trailer));
  }

  /** The one Envelope that was stored, whole. */
  get stored(): Bytes {
    const [whole, ...others] = this.all;
    if (whole === undefined || others.length > 0) throw new Error("not exactly one Envelope is stored");
    return whole;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "" } = request;
    if (url === "/api/toll") {
      this.asked++;
      response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(this.toll));
      return;
    }
    const number = this.seen.length;
    const toll = request.headers["tipbox-toll"];
    const seen = {
      method,
      path: url.replace("/api/envelope", ""),
      size: Number(request.headers["content-length"] ?? 0),
      ...(typeof toll === "string" && { toll }),
    };
    this.seen.push(seen);
    const fault = this.fault(seen, number);
    const token = /^Bearer ([A-Za-z0-9_-]{43})$/.exec(request.headers.authorization ?? "")?.[1];
    const answer: Answer = (status, content, headers = {}) => {
      if (fault === "lost-answer") request.socket.destroy();
      else if (content instanceof Uint8Array)
        response.writeHead(status, { "Content-Type": "application/octet-stream" }).end(content);
      else response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(content));
    };
    const body = await this.#read(request, fault);
    if (fault !== null && fault !== "lost-answer" && "status" in fault) {
      const headers: Record<string, string> =
        fault.retryAfter === undefined ? {} : { "Retry-After": String(fault.retryAfter) };
      answer(fault.status, { error: fault.error, message: "", ...fault.members }, headers);
      return;
    }
    const cut = fault !== null && fault !== "lost-answer";
    if (url === "/api/capsule") answer(200, await this.#capsules(body));
    else if (token === undefined) answer(401, { error: "no-token", message: "" });
    else if (seen.path === "" && method === "PUT") {
      if (cut) request.socket.destroy();
      else this.#open(token, body, answer);
    } else await this.#draft(token, seen, body, cut, request, answer);
  }

  async #read(request: IncomingMessage, fault: Fault | null): Promise<Bytes> {
    const limit =
      fault !== null && typeof fault === "object" && "cutAfter" in fault ? fault.cutAfter : Number.POSITIVE_INFINITY;
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= limit) break;
    }
    return concat(...chunks).slice(0, limit);
  }

  #open(token: string, body: Bytes, answer: Answer): void {
    const known = this.drafts.get(token);
    if (known !== undefined && !equal(known.front, body)) {
      answer(409, { error: "draft-differs", message: "" });
      return;
    }
    const start = headerSize(body);
    const header = parseHeader(body.slice(0, start));
    const end = start + header.letterSize + TAG_SIZE;
    const behind = body.slice(end);
    const [trailer, placed] = header.bodySize === 0 ? [behind, new Uint8Array()] : [new Uint8Array(), behind];
    const isTaken = [...this.drafts.values()].some(
      (one) => !one.stored && one !== known && placed.length > 0 && equal(one.placed.slice(0, 32), placed.slice(0, 32)),
    );
    if (isTaken) {
      answer(409, { error: "draft-differs", message: "" });
      return;
    }
    if (behind.length !== (header.bodySize === 0 ? trailerSize(header) : PLACED_SIZE)) {
      answer(400, { error: "malformed", message: "" });
      return;
    }
    const draft = known ?? {
      front: body,
      header: body.slice(0, start),
      letter: body.slice(start, end),
      parts: new Array<Bytes | undefined>(partsOf(header.bodySize)).fill(undefined),
      bodySize: header.bodySize,
      trailerSize: trailerSize(header),
      placed,
      trailer,
      meddled: false,
      stored: header.bodySize === 0,
    };
    this.drafts.set(token, draft);
    answer(known === undefined ? 201 : 200, state(draft));
  }

  async #draft(
    token: string,
    { method, path }: Seen,
    body: Bytes,
    cut: boolean,
    request: IncomingMessage,
    answer: Answer,
  ): Promise<void> {
    const draft = this.drafts.get(token);
    const first = /^\/parts\/([0-9]+)$/.exec(path)?.[1];
    if (draft === undefined) answer(404, { error: "no-draft", message: "" });
    else if (method === "GET" && first !== undefined) answer(200, await this.#listed(draft, Number(first)));
    else if (draft.stored && ["/opening", "/give-up"].includes(path)) answer(404, { error: "no-draft", message: "" });
    else if (path === "/opening") answer(200, await this.lie("opening", concat(draft.header, draft.letter), token));
    else if (path === "/give-up") {
      const isIts = equal(await sha256(body), draft.placed.slice(0, 32));
      if (isIts) this.drafts.delete(token);
      answer(isIts ? 200 : 404, isIts ? { state: "gone" } : { error: "no-draft", message: "" });
    } else if (path === "/parts") {
      answer(200, { parts: await this.lie("ranges", await rangesOf(wholeRanges(draft)), token) });
    } else if (method === "GET") answer(200, state(draft));
    else if (method === "POST" && path === "/finish") await this.#finish(draft, body, answer);
    else if (first === undefined) answer(404, { error: "not-found", message: "" });
    else {
      const headerHash = toHex(await sha256(draft.header));
      for (const [number, part] of partsIn(draft, Number(first), body))
        this.recorded.push({ headerHash, number, part });
      const differs = keep(draft, Number(first), body, cut);
      this.differing += differs ? 1 : 0;
      if (cut) request.socket.destroy();
      else answer(differs ? 409 : 200, differs ? { error: "part-differs", message: "" } : state(draft));
    }
  }

  async #capsules(tokens: Bytes): Promise<Bytes> {
    const answer = new Uint8Array(CAPSULE_PLACES * CAPSULE_SIZE);
    for (let place = 0; place < CAPSULE_PLACES; place++) {
      const address = await sha256(tokens.slice(32 * place, 32 * place + 32));
      for (const [token, { placed, stored }] of this.drafts)
        if (!stored && equal(placed.slice(0, 32), address))
          answer.set(await this.lie("capsule", placed.slice(32), token), place * CAPSULE_SIZE);
    }
    return answer;
  }

  async #listed(draft: Draft, first: number): Promise<Bytes> {
    const rows = draft.parts
      .slice(first, first + LISTED_PARTS)
      .map(async (part) =>
        part === undefined
          ? new Uint8Array(SESSION_NONCE_SIZE + HASH_SIZE)
          : concat(part.slice(0, SESSION_NONCE_SIZE), await sha256(part)),
      );
    return concat(...(await Promise.all(rows)));
  }

  async #finish(draft: Draft, body: Bytes, answer: Answer): Promise<void> {
    const whole = wholeParts(draft);
    if (body.length !== HASH_SIZE + draft.trailerSize) answer(400, { error: "malformed", message: "" });
    else if (draft.stored) answer(200, state(draft));
    else if (whole.length < draft.parts.length) answer(409, { error: "incomplete", message: "", ...state(draft) });
    else {
      if (!draft.meddled) await this.meddle(draft.parts);
      draft.meddled = true;
      const hashes = await Promise.all(wholeParts(draft).map((part) => sha256(part)));
      const hash = await envelopeHash(await sha256(draft.header), draft.letter, hashes);
      draft.stored = equal(hash, body.slice(0, HASH_SIZE));
      draft.trailer = body.slice(HASH_SIZE);
      answer(draft.stored ? 200 : 409, draft.stored ? state(draft) : { error: "part-differs", message: "" });
    }
  }
}

type Answer = (status: number, content: object, headers?: Record<string, string>) => void;

function wholeParts({ parts }: Draft): Bytes[] {
  return parts.filter((part) => part !== undefined);
}

function state(draft: Draft): object {
  if (draft.stored) return { state: "stored" };
  const missing: [number, number][] = [];
  draft.parts.forEach((part, index) => {
    const last = missing.at(-1);
    if (part !== undefined) return;
    if (last !== undefined && last[0] + last[1] === index) last[1]++;
    else missing.push([index, 1]);
  });
  return { state: "open", missing: missing.slice(0, 100) };
}

/** Consecutive parts of one session: the first, their session nonce, and themselves. */
export function wholeRanges({
  parts,
}: {
  readonly parts: readonly (Bytes | undefined)[];
}): [number, string, Bytes[]][] {
  const ranges: [number, string, Bytes[]][] = [];
  parts.forEach((part, number) => {
    if (part === undefined) return;
    const nonce = toHex(part.slice(0, SESSION_NONCE_SIZE));
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === nonce && last[0] + last[2].length === number) last[2].push(part);
    else ranges.push([number, nonce, [part]]);
  });
  return ranges;
}

/** As the server names them. */
export function rangesOf(ranges: readonly [number, string, Bytes[]][]): Promise<unknown[]> {
  return Promise.all(
    ranges.slice(0, 100).map(async ([first, nonce, parts]) => {
      const hashes = await Promise.all(parts.map((part) => sha256(part)));
      return [first, parts.length, nonce, toHex(await sha256(...hashes))];
    }),
  );
}

/** The whole parts of a run, by their numbers. */
function partsIn(draft: Draft, first: number, body: Bytes): [number, Bytes][] {
  const found: [number, Bytes][] = [];
  for (let number = first, offset = 0; number < draft.parts.length; number++) {
    const size = sealedBodyPartSize(draft.bodySize, number);
    if (offset + size > body.length) break;
    found.push([number, body.slice(offset, offset + size)]);
    offset += size;
  }
  return found;
}

/** Keeps the whole parts of a run; true when one came before with other bytes. */
function keep(draft: Draft, first: number, body: Bytes, cut: boolean): boolean {
  let differs = false;
  for (let index = first, offset = 0; offset < body.length; index++) {
    const size = sealedBodyPartSize(draft.bodySize, index);
    const part = body.slice(offset, offset + size);
    offset += size;
    if (part.length < size) {
      if (cut) break;
      throw new Error("a run is not of whole parts");
    }
    const known = draft.parts[index];
    differs ||= known !== undefined && !equal(known, part);
    draft.parts[index] ??= part;
  }
  return differs;
}
