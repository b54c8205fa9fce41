// One upload (docs/protocol.md, section 3) over a line that may be cut at any moment and come back hours later.
// Everything here is ciphertext. What was sealed is kept until the server has acknowledged it, and sent again as it is.

import pRetry from "p-retry";

import { type Bytes, concat, fromUtf8, toBase64 } from "./bytes.js";
import { type Code, codeOf, demand, FORMAT_CODES, PROTOCOL_CODES, TipboxError } from "./errors.js";
import { MAX_RUN_PARTS, SEALED_PART_SIZE } from "./limits.js";
import { random } from "./primitives.js";

const TOKEN_SIZE = 32;
/** What a server may take, in milliseconds, to put gigabytes together. */
const FINISH_PATIENCE = 180_000;
/** Errors that pass by themselves. */
const PASSING: readonly Code[] = ["network", "slow-down", "unavailable"];
const ANSWERED: readonly Code[] = [...FORMAT_CODES, ...PROTOCOL_CODES];
/** A state lists at most so many ranges; what lies behind the last of them is not known then. */
const LISTED_RANGES = 100;

/** Pauses and patience, in milliseconds. */
export interface Timing {
  /** The first pause after a failure; each further one is twice as long. */
  readonly firstPause: number;
  readonly longestPause: number;
  /** How long to go on trying. */
  readonly patience: number;
  /** A request that takes less lets runs grow; */
  readonly quick: number;
  /** one that takes more lets them shrink. */
  readonly slow: number;
  /** A request without an answer is given up after this, */
  readonly silence: number;
  /** and so many times what its body should take at the rate of the last one. */
  readonly slack: number;
}

export const TIMING: Timing = {
  firstPause: 1_000,
  longestPause: 30_000,
  patience: 24 * 3_600_000,
  quick: 2_000,
  slow: 20_000,
  silence: 90_000,
  slack: 20,
};

/** What the server has: everything, or all but the listed ranges of parts. */
export type State = { readonly stored: true } | { readonly stored: false; readonly missing: readonly Range[] };
export type Range = readonly [first: number, count: number];

/** Consecutive sealed parts, joined. */
export interface Run {
  readonly first: number;
  readonly count: number;
  readonly sealed: Bytes;
}

export interface UploadOptions {
  /** The address of `/api/envelope`. */
  readonly api: string;
  /** Ends the upload for good. */
  readonly signal: AbortSignal;
  /** Fires `online` when the device finds a network again. */
  readonly wake?: EventTarget;
  readonly timing?: Partial<Timing>;
  /** Called with the bytes that the server has acknowledged since the last call. */
  readonly onAcknowledged?: (bytes: number) => void;
  /** Called when an attempt failed and another one will follow, and with `null` when the line works again. */
  readonly onLine?: (trouble: Code | null) => void;
}

class Busy extends TipboxError {
  constructor(
    code: Code,
    readonly pause: number,
  ) {
    super(code);
  }
}

/** How many parts to put into one request: more while requests are quick, fewer after a cut. */
export class RunLength {
  #parts = 4;

  get parts(): number {
    return this.#parts;
  }

  /** A request with so many parts was answered after `elapsed` milliseconds. */
  answered(parts: number, elapsed: number, timing: Timing): void {
    if (elapsed > timing.slow) this.cut();
    else if (elapsed < timing.quick && parts >= this.#parts) this.#parts = Math.min(MAX_RUN_PARTS, this.#parts * 2);
  }

  /** A request failed. */
  cut(): void {
    this.#parts = Math.max(1, Math.floor(this.#parts / 2));
  }
}

/** The parts of `run` that are among the missing ones. */
export function stillMissing(run: Range, missing: readonly Range[]): Range[] {
  const end = run[0] + run[1];
  const last = missing.at(-1);
  const known: readonly Range[] =
    missing.length < LISTED_RANGES || last === undefined ? missing : [...missing, [last[0] + last[1], Number.POSITIVE_INFINITY]];
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

function parseState(value: unknown): State {
  demand(typeof value === "object" && value !== null && "state" in value, "network");
  if (value.state === "stored") return { stored: true };
  demand(value.state === "open" && "missing" in value && Array.isArray(value.missing), "network");
  return { stored: false, missing: value.missing.map(parseRange) };
}

/** The error that an answer stands for. */
function refusal(response: Response, answer: unknown): TipboxError {
  const named = typeof answer === "object" && answer !== null && "error" in answer ? answer.error : undefined;
  const code = ANSWERED.find((known) => known === named);
  const seconds = Number(response.headers.get("Retry-After") ?? 0);
  const pause = Number.isFinite(seconds) ? Math.max(0, seconds) * 1000 : 0;
  if (response.status === 507) return new TipboxError("full");
  if (response.status === 429) return new Busy("slow-down", pause);
  if (response.status === 503) return new Busy("unavailable", pause);
  if (response.status >= 500 || response.status === 408) return new Busy("network", pause);
  return new TipboxError(code ?? "internal");
}

/** An upload under one draft token. */
export class Upload {
  readonly length = new RunLength();
  readonly #options: UploadOptions;
  readonly #timing: Timing;
  readonly #authorization: string;
  #rate = 10_000; // bytes per second, a guess until the first answer
  #troubled = false;

  constructor(options: UploadOptions) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    const token = toBase64(random(TOKEN_SIZE)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
    this.#authorization = `Bearer ${token}`;
  }

  /** Sends header and letter. They are durable when this returns; true when that was the whole Envelope. */
  async open(header: Bytes, letter: Bytes): Promise<boolean> {
    const body = concat(header, letter);
    const state = await this.#insist(() => this.#request("PUT", "", body));
    this.#options.onAcknowledged?.(body.length);
    return state.stored;
  }

  /** Sends a run; it is durable when this returns. */
  async send(run: Run): Promise<void> {
    let left = run.count;
    let bytesLeft = run.sealed.length;
    const acknowledge = (still: number): void => {
      const before = bytesLeft;
      left = still;
      bytesLeft = Math.min(bytesLeft, still * SEALED_PART_SIZE); // the last part of a body may be shorter
      this.#options.onAcknowledged?.(before - bytesLeft);
    };
    await this.#insist(async (attempt) => {
      let missing: Range[] = [[run.first, run.count]];
      if (attempt > 1) {
        const state = await this.#request("GET", "");
        missing = state.stored ? [] : stillMissing([run.first, run.count], state.missing);
        acknowledge(missing.reduce((sum, [, count]) => sum + count, 0));
      }
      for (const range of missing) {
        const end = range[0] + range[1];
        for (let first = range[0]; first < end; ) {
          const count = Math.min(this.length.parts, end - first);
          const from = (first - run.first) * SEALED_PART_SIZE;
          const started = performance.now();
          await this.#request("PUT", `/parts/${first}`, run.sealed.subarray(from, from + count * SEALED_PART_SIZE));
          this.length.answered(count, performance.now() - started, this.#timing);
          acknowledge(left - count);
          first += count;
        }
      }
    });
  }

  /** Commits the Envelope. It is stored when this returns; may be asked again and again. */
  async finish(): Promise<void> {
    const state = await this.#insist(() => this.#request("POST", "/finish", undefined, FINISH_PATIENCE));
    demand(state.stored, "network");
  }

  /** Runs `attempt` until it succeeds, fails for good, is stopped, or patience ends. */
  async #insist<T>(attempt: (number: number) => Promise<T>): Promise<T> {
    const { signal, onLine } = this.#options;
    const { firstPause, longestPause, patience } = this.#timing;
    return pRetry(attempt, {
      retries: Number.POSITIVE_INFINITY,
      maxRetryTime: patience,
      minTimeout: 0, // the pause is ours: `online` ends it
      signal,
      shouldRetry: ({ error }) => PASSING.includes(codeOf(error)),
      onFailedAttempt: async ({ error, attemptNumber }) => {
        if (!PASSING.includes(codeOf(error)) || signal.aborted) return;
        this.length.cut();
        this.#rate = Math.max(500, this.#rate / 2);
        this.#troubled = true;
        onLine?.(codeOf(error));
        const backoff = Math.min(longestPause, firstPause * 2 ** Math.min(16, attemptNumber - 1));
        await this.#pause(Math.max(backoff, error instanceof Busy ? error.pause : 0));
      },
    });
  }

  /** Waits, or less when a network comes back or the upload is stopped. */
  #pause(milliseconds: number): Promise<void> {
    const { signal, wake } = this.#options;
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        wake?.removeEventListener("online", end);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      wake?.addEventListener("online", end);
      signal.addEventListener("abort", end);
    });
  }

  async #request(method: string, path: string, body?: Bytes, extra = 0): Promise<State> {
    const { api, signal } = this.#options;
    const size = body?.length ?? 0;
    const { silence, slack } = this.#timing;
    const patience = Math.ceil(silence + extra + (slack * size * 1000) / this.#rate);
    const ends = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
    const started = performance.now();
    let response: Response;
    let answer: unknown;
    try {
      response = await fetch(api + path, {
        method,
        headers: { Authorization: this.#authorization, ...(body && { "Content-Type": "application/octet-stream" }) },
        body: body === undefined ? null : new Blob([body]), // Chromium sends a Blob seven times as fast as an array
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        signal: ends,
      });
      const text = fromUtf8(new Uint8Array(await response.arrayBuffer()));
      answer = text?.startsWith("{") ? JSON.parse(text) : null;
    } catch {
      signal.throwIfAborted();
      throw new TipboxError("network");
    }
    if (size > 0) this.#rate = (size * 1000) / Math.max(1, performance.now() - started);
    if (!response.ok) throw refusal(response, answer);
    const state = parseState(answer);
    // A question that is answered moves nothing yet.
    if (this.#troubled && method !== "GET") {
      this.#troubled = false;
      this.#options.onLine?.(null);
    }
    return state;
  }
}
