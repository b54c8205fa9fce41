// One upload (docs/protocol.md, section 3). Everything here is ciphertext. What was sealed is kept until the server has
// acknowledged it, and repeated as it is: sealing it again would use a nonce twice.

import { type Code, codeOf, demand, TipboxError } from "../errors.js";
import { type Bytes, concat } from "../formats/base/bytes.js";
import { ENVELOPE_PART_SIZE, HASH_SIZE, MAX_RUN_PARTS, SESSION_NONCE_SIZE } from "../formats/base/limits.js";
import { random } from "../formats/base/primitives.js";
import type { EnvelopeEnd } from "../formats/envelopes/envelope.js";
import { Connection, type ConnectionOptions, parseJson, type Request, type Timing, TollAsked } from "./http.js";
import type { Payer, PayerOptions } from "./payer.js";

const TOKEN_SIZE = 32;
/** Milliseconds that a server may need to assemble gigabytes. */
const FINISH_TIMEOUT = 180_000;
/** Milliseconds that who has paid may wait for others. */
const QUEUE_TIMEOUT = 60_000;
/** The most ranges that a state lists; when it lists this number, nothing is known of what lies behind the last. */
const LISTED_RANGES = 100;
/** Bytes of a part among those that the server names. */
const LISTED_SIZE = SESSION_NONCE_SIZE + HASH_SIZE;

/** What the server has: everything, or all but the listed ranges of parts. */
export type UploadState = { readonly stored: true } | { readonly stored: false; readonly missing: readonly Range[] };
export type Range = readonly [first: number, count: number];

/** Consecutive sealed parts, joined. */
export interface Run {
  readonly first: number;
  readonly count: number;
  readonly sealed: Bytes;
}

export interface UploadOptions extends ConnectionOptions, PayerOptions {
  /** The address of `/api/envelope`. */
  readonly api: string;
  /** Called with the bytes that the server has acknowledged since the last call. */
  readonly onAcknowledged?: (bytes: number) => void;
  /** The draft token of an upload that goes on; by default another one begins. */
  readonly token?: Bytes;
  /** Pays for it, and has begun to. */
  readonly payer?: Payer;
  /** Loads what pays. */
  readonly loadPayer: (options: ConnectionOptions) => Promise<typeof Payer>;
}

/** In place of a number of parts: one, while no other request is under way. */
const ALONE = 0.5;

/** How many parts to put into one request: more while requests are quick, fewer after one failed. */
export class RunLength {
  #parts = 4;

  get parts(): number {
    return Math.ceil(this.#parts);
  }

  /** Whether the line is too slow for two requests at once: a server ends bodies that trickle. */
  get isAlone(): boolean {
    return this.#parts === ALONE;
  }

  /** An opening, of fewer bytes than a part, was answered after `elapsed` milliseconds. */
  opened(elapsed: number, { slow }: Timing): void {
    if (elapsed > slow) this.#parts = ALONE;
  }

  /** A request of `parts` parts was answered after `elapsed` milliseconds. */
  answered(parts: number, elapsed: number, timing: Timing): void {
    if (elapsed > timing.slow) this.cut();
    else if (elapsed < timing.quick && parts >= this.#parts) this.#parts = Math.min(MAX_RUN_PARTS, this.#parts * 2);
  }

  /** A request failed. */
  cut(): void {
    this.#parts = Math.max(ALONE, this.#parts / 2);
  }
}

/** The parts of `run` that are among the missing ones. */
export function stillMissing(run: Range, missing: readonly Range[]): Range[] {
  const end = run[0] + run[1];
  const last = missing.at(-1);
  const known: readonly Range[] =
    missing.length < LISTED_RANGES || last === undefined
      ? missing
      : [...missing, [last[0] + last[1], Number.POSITIVE_INFINITY]];
  return known.flatMap(([first, count]): Range[] => {
    const from = Math.max(run[0], first);
    const size = Math.min(end, first + count) - from;
    return size > 0 ? [[from, size]] : [];
  });
}

function parseRange(value: unknown): Range {
  demand(Array.isArray(value) && value.length === 2, "network");
  const [first, count] = value as unknown[];
  demand(typeof first === "number" && typeof count === "number", "network");
  demand(Number.isSafeInteger(first) && Number.isSafeInteger(count) && first >= 0 && count >= 1, "network");
  return [first, count];
}

function parseState(value: unknown): UploadState {
  demand(typeof value === "object" && value !== null && "state" in value, "network");
  if (value.state === "stored") return { stored: true };
  demand(value.state === "open" && "missing" in value && Array.isArray(value.missing), "network");
  return { stored: false, missing: value.missing.map(parseRange) };
}

/** Another tab or program has finished the same upload. Its parts may be of other sessions, so its hash is not known. */
export class FinishedElsewhere extends Error {}

/** Errors that leave open what became of the request; any other one is a refusal, and nothing came of it. */
const OPEN: readonly Code[] = ["network", "slow-down", "unavailable", "not-found", "stopped", "internal"];

/** An upload under one draft token. */
export class Upload {
  readonly length = new RunLength();
  /** Whether its access code continues it: then others may go on with it as well. */
  isContinuable: boolean;
  #mayBeStored = false;
  readonly #options: UploadOptions;
  readonly #connection: Connection;
  readonly #token: Bytes;
  #payer: Payer | undefined;
  /** The last request that went alone. */
  #turn = Promise.resolve();

  constructor(options: UploadOptions) {
    this.#options = options;
    this.#payer = options.payer;
    this.#payer?.bind(options);
    this.isContinuable = options.token !== undefined;
    this.#token = options.token ?? options.payer?.token ?? random(TOKEN_SIZE);
    this.#connection = new Connection(this.#token, options);
    this.#connection.onCut = () => this.length.cut();
  }

  /** The draft token. */
  get token(): Bytes {
    return this.#token;
  }

  /** Whether the last request was sent, and nothing that the server said since shows that it stored nothing. */
  get mayBeStored(): boolean {
    return this.#mayBeStored;
  }

  /**
   * Sends header and letter, and `behind` them the trailer of an Envelope without a body, else place address and
   * capsule. They are stored when this returns; true if that was the whole Envelope.
   */
  async open(header: Bytes, letter: Bytes, behind: Bytes, isWhole: boolean): Promise<boolean> {
    const body = concat(header, letter, behind);
    const payment = (toll: string) => ({ toll, extra: QUEUE_TIMEOUT });
    const ahead = await this.#payer?.ahead();
    let paid = ahead === undefined ? {} : payment(ahead);
    const attempt = async (): Promise<UploadState> => {
      const started = performance.now();
      const opened = await this.#request("PUT", "", { body, ...paid });
      this.length.opened(performance.now() - started, this.#connection.timing);
      return opened;
    };
    let state: UploadState | null = null;
    while (state === null) {
      try {
        state = await this.#connection.retry(isWhole ? () => this.#last(attempt) : attempt);
      } catch (error) {
        if (!(error instanceof TollAsked)) throw error;
        paid = payment(await (await this.#loaded()).pay(error.answer)); // again when the price has risen meanwhile
      }
    }
    this.#options.onAcknowledged?.(body.length);
    return state.stored;
  }

  async #loaded(): Promise<Payer> {
    if (this.#payer === undefined) {
      this.#payer = new (await this.#options.loadPayer(this.#options))(this.#token);
      this.#payer.bind(this.#options);
    }
    return this.#payer;
  }

  /** Sends a run of parts; it is stored when this returns. */
  async send(run: Run): Promise<void> {
    let left = run.count;
    let bytesLeft = run.sealed.length;
    const acknowledge = (still: number): void => {
      const before = bytesLeft;
      left = still;
      bytesLeft = Math.min(bytesLeft, still * ENVELOPE_PART_SIZE); // the last part of a body may be shorter
      this.#options.onAcknowledged?.(before - bytesLeft);
    };
    await this.#connection.retry(async (attempt) => {
      let missing: Range[] = [[run.first, run.count]];
      if (attempt > 1) {
        const state = await this.#request("GET", "");
        missing = stillMissing([run.first, run.count], this.#missingOf(state));
        acknowledge(missing.reduce((sum, [, count]) => sum + count, 0));
      }
      for (const range of missing) {
        const end = range[0] + range[1];
        for (let first = range[0]; first < end; ) {
          const count = Math.min(this.length.parts, end - first);
          const from = (first - run.first) * ENVELOPE_PART_SIZE;
          const body = run.sealed.subarray(from, from + count * ENVELOPE_PART_SIZE);
          await this.#inTurn(async () => {
            const started = performance.now();
            this.#missingOf(await this.#request("PUT", `/parts/${first}`, { body, unit: ENVELOPE_PART_SIZE }));
            this.length.answered(count, performance.now() - started, this.#connection.timing);
          });
          acknowledge(left - count);
          first += count;
        }
      }
    });
  }

  /** Sends it: alone, where the line is too slow for two. */
  #inTurn(send: () => Promise<void>): Promise<void> {
    if (!this.length.isAlone) return send();
    const sent = this.#turn.then(send);
    this.#turn = sent.catch(() => undefined);
    return sent;
  }

  /** Parts alone store nothing: what is stored now was finished by somebody else, with parts of theirs perhaps. */
  #missingOf(state: UploadState): readonly Range[] {
    if (state.stored) throw new TipboxError(this.isContinuable ? "no-draft" : "internal");
    return state.missing;
  }

  /**
   * The error that a failure of this upload comes to: `FinishedElsewhere` where it is no longer open for that reason.
   * Where another tab has given it up, that one sends the same files anew: they may have arrived.
   */
  async explain(error: unknown): Promise<unknown> {
    if (codeOf(error) !== "no-draft" || !this.isContinuable) return error;
    this.#mayBeStored = true;
    try {
      if ((await this.#connection.retry(() => this.#request("GET", ""))).stored) return new FinishedElsewhere();
    } catch (another) {
      return another;
    }
    return error;
  }

  /**
   * Commits the Envelope; idempotent. Throws `part-differs` when what lies there is not the Envelope with this hash.
   */
  async finish({ hash, trailer }: EnvelopeEnd): Promise<void> {
    const body = concat(hash, trailer);
    const attempt = (): Promise<UploadState> => this.#request("POST", "/finish", { body, extra: FINISH_TIMEOUT });
    const state = await this.#connection.retry(() => this.#last(attempt));
    demand(state.stored, "network");
    this.#options.onAcknowledged?.(trailer.length);
  }

  /** Session nonce and SHA-256 of each of `count` parts, as the server says; zeros for one that is missing. */
  async storedParts(count: number): Promise<{ readonly nonce: Bytes; readonly hash: Bytes }[]> {
    const stored: { readonly nonce: Bytes; readonly hash: Bytes }[] = [];
    while (stored.length < count) {
      const url = `${this.#options.api}/parts/${stored.length}`;
      const listed = await this.#connection.retry(() => this.#connection.request({ method: "GET", url }));
      demand(listed.length > 0 && listed.length % LISTED_SIZE === 0, "network");
      for (let at = 0; at < listed.length; at += LISTED_SIZE) {
        const nonce = listed.slice(at, at + SESSION_NONCE_SIZE);
        stored.push({ nonce, hash: listed.slice(at + SESSION_NONCE_SIZE, at + LISTED_SIZE) });
      }
    }
    return stored.slice(0, count);
  }

  /** What the server says is here, in ranges. */
  async named(): Promise<unknown> {
    const url = `${this.#options.api}/parts`;
    return parseJson(await this.#connection.retry(() => this.#connection.request({ method: "GET", url })));
  }

  /** Makes the request after which the server has stored all. */
  async #last(attempt: () => Promise<UploadState>): Promise<UploadState> {
    const before = this.#mayBeStored;
    this.#mayBeStored = true; // from now on, also when the answer is lost, makes no sense, or is not waited for
    try {
      return await attempt();
    } catch (error) {
      // A refusal takes this request back, and none whose answer was lost before.
      if (!OPEN.includes(codeOf(error))) this.#mayBeStored = before;
      throw error;
    }
  }

  async #request(method: Request["method"], path: string, more: Partial<Request> = {}): Promise<UploadState> {
    return parseState(parseJson(await this.#connection.request({ method, url: this.#options.api + path, ...more })));
  }
}
