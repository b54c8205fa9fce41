// An intake that speaks docs/protocol.md on loopback and keeps what it gets in memory; faults are set by the test.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { type Bytes, concat, equal } from "../../src/formats/base/bytes.js";
import { PART_SIZE, SEALED_PART_SIZE, TAG_SIZE } from "../../src/formats/base/limits.js";
import { partsOf } from "../../src/formats/base/padding.js";
import { headerSize, parseHeader } from "../../src/formats/envelopes/header.js";

interface Draft {
  readonly front: Bytes;
  readonly parts: (Bytes | undefined)[];
  readonly bodySize: number;
  stored: boolean;
}

/** One request as the intake saw it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  /** Body bytes that arrived. */
  readonly size: number;
}

/** What goes wrong with a request. */
export type Fault =
  /** The line is cut after so many bytes of the body; parts that came whole are kept. */
  | { readonly cutAfter: number }
  /** The request is carried out, its answer lost. */
  | "lost-answer"
  | { readonly status: number; readonly error: string; readonly retryAfter?: number };

export class Intake {
  readonly drafts = new Map<string, Draft>();
  readonly seen: Seen[] = [];
  /** Decides for each request, by its number from 0. */
  fault: (request: Seen, number: number) => Fault | null = () => null;
  /** Parts that came again with other bytes. */
  differing = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch(() => response.destroy());
    });
  }

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

  /** The one Envelope that was stored, whole. */
  get stored(): Bytes {
    const [draft, ...others] = [...this.drafts.values()].filter((one) => one.stored);
    if (draft === undefined || others.length > 0) throw new Error("not exactly one Envelope is stored");
    return concat(draft.front, ...draft.parts.map((part) => part ?? new Uint8Array(0)));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "" } = request;
    const number = this.seen.length;
    const seen = {
      method,
      path: url.replace("/api/envelope", ""),
      size: Number(request.headers["content-length"] ?? 0),
    };
    this.seen.push(seen);
    const fault = this.fault(seen, number);
    const token = /^Bearer ([A-Za-z0-9_-]{43})$/.exec(request.headers.authorization ?? "")?.[1];
    const answer = (status: number, content: object, headers: Record<string, string> = {}): void => {
      if (fault === "lost-answer") request.socket.destroy();
      else response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(content));
    };
    const body = await this.#read(request, fault);
    if (fault !== null && fault !== "lost-answer" && "status" in fault) {
      const headers: Record<string, string> =
        fault.retryAfter === undefined ? {} : { "Retry-After": String(fault.retryAfter) };
      answer(fault.status, { error: fault.error, message: "" }, headers);
      return;
    }
    const cut = fault !== null && fault !== "lost-answer";
    if (token === undefined) answer(401, { error: "no-token", message: "" });
    else if (seen.path === "" && method === "PUT") {
      if (cut) request.socket.destroy();
      else this.#open(token, body, answer);
    } else this.#draft(token, seen, body, cut, request, answer);
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

  #open(token: string, body: Bytes, answer: (status: number, body: object) => void): void {
    const known = this.drafts.get(token);
    if (known !== undefined && !equal(known.front, body)) {
      answer(409, { error: "draft-differs", message: "" });
      return;
    }
    const { bodySize } = parseHeader(body.slice(0, headerSize(body)));
    const draft = known ?? {
      front: body,
      parts: new Array<Bytes | undefined>(partsOf(bodySize)).fill(undefined),
      bodySize,
      stored: bodySize === 0,
    };
    this.drafts.set(token, draft);
    answer(known === undefined ? 201 : 200, state(draft));
  }

  #draft(
    token: string,
    { method, path }: Seen,
    body: Bytes,
    cut: boolean,
    request: IncomingMessage,
    answer: (status: number, body: object) => void,
  ): void {
    const draft = this.drafts.get(token);
    const first = /^\/parts\/([0-9]+)$/.exec(path)?.[1];
    if (draft === undefined) answer(404, { error: "no-draft", message: "" });
    else if (method === "GET") answer(200, state(draft));
    else if (method === "POST" && path === "/finish") {
      const whole = draft.parts.every((part) => part !== undefined);
      draft.stored ||= whole;
      answer(whole ? 200 : 409, whole ? state(draft) : { error: "incomplete", message: "", ...state(draft) });
    } else if (first === undefined) answer(404, { error: "not-found", message: "" });
    else {
      const differs = keep(draft, Number(first), body, cut);
      this.differing += differs ? 1 : 0;
      if (cut) request.socket.destroy();
      else answer(differs ? 409 : 200, differs ? { error: "part-differs", message: "" } : state(draft));
    }
  }
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

/** Keeps the whole parts of a run; true when one came before with other bytes. */
function keep(draft: Draft, first: number, body: Bytes, cut: boolean): boolean {
  let differs = false;
  for (let index = first, offset = 0; offset < body.length; index++) {
    const size = Math.min(SEALED_PART_SIZE, draft.bodySize - index * PART_SIZE + TAG_SIZE);
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
