// One act over a line that may be cut at any moment and come back hours later: requests under one token, repeated until
// they are answered, refused for good, or stopped.

import pRetry from "p-retry";
import { type Code, codeOf, FORMAT_CODES, PROTOCOL_CODES, TipboxError } from "../errors.js";
import { type Bytes, fromUtf8, toBase64 } from "../formats/base/bytes.js";

/** The longest pause that a server may ask for, in milliseconds: none can park a client for good. */
const LONGEST_ASKED_PAUSE = 60_000;
/** Errors that pass by themselves. */
const PASSING: readonly Code[] = ["network", "slow-down", "unavailable"];
const ANSWERED: readonly Code[] = [...FORMAT_CODES, ...PROTOCOL_CODES];

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
  /** and so many times what its bytes should take at the rate of the last one. */
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

export interface LineOptions {
  /** Ends the act for good. */
  readonly signal: AbortSignal;
  /** Fires `online` when the device finds a network again. */
  readonly wake?: EventTarget;
  readonly timing?: Partial<Timing>;
  /** Called when an attempt failed and another one will follow, and with `null` when the line works again. */
  readonly onLine?: (trouble: Code | null) => void;
}

/** One request. Bodies have a length that is known before. */
export interface Request {
  readonly method: "GET" | "PUT" | "POST";
  readonly url: string;
  readonly body?: Bytes;
  /** Bytes that the answer has. */
  readonly expected?: number;
  /** Milliseconds that the server may take besides. */
  readonly extra?: number;
}

class Busy extends TipboxError {
  constructor(
    code: Code,
    readonly pause: number,
  ) {
    super(code);
  }
}

/** The pause in milliseconds that a `Retry-After` of some seconds asks for; a date asks for none. */
export function askedPause(retryAfter: string | null): number {
  const seconds = Number(retryAfter ?? 0);
  return Number.isNaN(seconds) ? 0 : Math.min(LONGEST_ASKED_PAUSE, Math.max(0, seconds * 1000));
}

/** The error that an answer stands for. */
function refusal(response: Response, bytes: Bytes): TipboxError {
  const answer = parseJson(bytes);
  const named = typeof answer === "object" && answer !== null && "error" in answer ? answer.error : undefined;
  const code = ANSWERED.find((known) => known === named);
  const pause = askedPause(response.headers.get("Retry-After"));
  if (response.status === 507) return new TipboxError("full");
  if (response.status === 429) return new Busy("slow-down", pause);
  if (response.status === 503) return new Busy("unavailable", pause);
  if (response.status >= 500 || response.status === 408) return new Busy("network", pause);
  return new TipboxError(code ?? "internal");
}

/** The JSON object that bytes spell, or `null`. Throws `network` for what only looks like one. */
export function parseJson(bytes: Bytes): unknown {
  const text = fromUtf8(bytes);
  try {
    return text?.startsWith("{") ? JSON.parse(text) : null;
  } catch {
    throw new TipboxError("network");
  }
}

/** What stands in the Authorization header. */
export function bearer(token: Bytes): string {
  return `Bearer ${toBase64(token).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "")}`;
}

/** A line under one token. */
export class Line {
  readonly timing: Timing;
  /** Called for each attempt that failed and will be made again. */
  onCut: () => void = () => {};
  readonly #options: LineOptions;
  readonly #authorization: string | null;
  #rate = 10_000; // bytes per second, a guess until the first answer
  #troubled = false;

  /** Without a token requests carry none: those for public files. */
  constructor(token: Bytes | null, options: LineOptions) {
    this.#options = options;
    this.timing = { ...TIMING, ...options.timing };
    this.#authorization = token && bearer(token);
  }

  /** Runs `attempt` until it succeeds, fails for good, is stopped, or patience ends. */
  async insist<T>(attempt: (number: number) => Promise<T>): Promise<T> {
    const { signal, onLine } = this.#options;
    const { firstPause, longestPause, patience } = this.timing;
    return pRetry(attempt, {
      retries: Number.POSITIVE_INFINITY,
      maxRetryTime: patience,
      minTimeout: 0, // the pause is ours: `online` ends it
      signal,
      shouldRetry: ({ error }) => PASSING.includes(codeOf(error)),
      onFailedAttempt: async ({ error, attemptNumber }) => {
        if (!PASSING.includes(codeOf(error)) || signal.aborted) return;
        this.onCut();
        this.#rate = Math.max(500, this.#rate / 2);
        this.#troubled = true;
        onLine?.(codeOf(error));
        const backoff = Math.min(longestPause, firstPause * 2 ** Math.min(16, attemptNumber - 1));
        await this.#pause(Math.max(backoff, error instanceof Busy ? error.pause : 0));
      },
    });
  }

  /** The whole body of a good answer; throws what a bad one stands for. */
  async request({ method, url, body, expected = 0, extra = 0 }: Request): Promise<Bytes> {
    const { signal } = this.#options;
    const size = Math.max(body?.length ?? 0, expected);
    const { silence, slack } = this.timing;
    const patience = Math.ceil(silence + extra + (slack * size * 1000) / this.#rate);
    const ends = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
    const started = performance.now();
    let response: Response;
    let answer: Bytes;
    try {
      response = await fetch(url, {
        method,
        headers: {
          ...(this.#authorization !== null && { Authorization: this.#authorization }),
          ...(body && { "Content-Type": "application/octet-stream" }),
        },
        body: body === undefined ? null : new Blob([body]), // Chromium sends a Blob seven times as fast as an array
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        signal: ends,
      });
      answer = new Uint8Array(await response.arrayBuffer());
    } catch {
      signal.throwIfAborted();
      throw new TipboxError("network");
    }
    if (size > 0) this.#rate = (size * 1000) / Math.max(1, performance.now() - started);
    if (!response.ok) throw refusal(response, answer);
    // A question about an upload that is answered moves nothing yet.
    if (this.#troubled && (method !== "GET" || this.#authorization === null)) this.#works();
    return answer;
  }

  #works(): void {
    this.#troubled = false;
    this.#options.onLine?.(null);
  }

  /** Waits, or less when a network comes back or the act is stopped. */
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
}
