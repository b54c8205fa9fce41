// HTTP requests under one token, repeated until they are answered, refused for good, or stopped: over Tor a connection
// may break at any moment and come back hours later.

import { retry } from "es-toolkit/function";
import { type Code, codeOf, FORMAT_CODES, PROTOCOL_CODES, TipboxError } from "../errors.js";
import { type Bytes, fromUtf8, toBase64 } from "../formats/base/bytes.js";
import { once } from "./once.js";

/** The longest pause that a server may ask for, in milliseconds: no server can hold a client up for good. */
const LONGEST_ASKED_PAUSE = 60_000;
/** Bytes of the longest answer whose size is not named: a list of words. */
const MOST_ANSWER = 65_536;
/** Bytes per second of a request on the slowest line that is of use: 2 kbit/s, which two may share. */
const SLOWEST = 100;
/** Milliseconds without a word from the server that are never usual: people who watch a still page think it is dead. */
const LONGEST_SILENCE = 60_000;
/** Errors after which another attempt makes sense. */
const TRANSIENT: readonly Code[] = ["network", "slow-down", "unavailable"];
/** Error codes that an answer may carry; any other is a bug of the server. */
const ANSWERED: readonly Code[] = [...FORMAT_CODES, ...PROTOCOL_CODES];

/** Pauses and limits, in milliseconds unless it says otherwise. */
export interface Timing {
  /** The first pause after a failure; each further one is twice as long. */
  readonly firstPause: number;
  readonly longestPause: number;
  /** How long attempts are repeated. */
  readonly retryFor: number;
  /** After a request that takes less than this, runs of parts grow; */
  readonly quick: number;
  /** after one that takes more than this, they shrink. */
  readonly slow: number;
  /** A request without an answer is given up after this, */
  readonly timeout: number;
  /** and this many times what its bytes should take at the rate of the last request; or what they take when SLOWEST. */
  readonly slack: number;
  /** When nothing is heard for so much longer than usual, that is told. */
  readonly quiet: number;
}

export const TIMING: Timing = {
  firstPause: 1000,
  longestPause: 30_000,
  retryFor: 24 * 3_600_000,
  quick: 5000, // a round trip alone may take three seconds
  slow: 20_000,
  timeout: 90_000,
  slack: 20,
  quiet: 20_000,
};

export interface ConnectionOptions {
  /** Ends everything for good. */
  readonly signal: AbortSignal;
  /** Fires `online` when the device finds a network again. */
  readonly wake?: EventTarget;
  readonly timing?: Partial<Timing>;
  /**
   * Called when an attempt failed and another one will follow after so many milliseconds; without a pause when one is
   * under way and nothing is heard of it; and with `null` when requests succeed again.
   */
  readonly onTrouble?: (trouble: Code | null, pause?: number) => void;
}

/** One request. Bodies have a length that is known before. */
export interface Request {
  readonly method: "GET" | "PUT" | "POST";
  readonly url: string;
  readonly body?: Bytes;
  /** Bytes that the answer has, or at most has, when it may be a long one. */
  readonly expected?: number;
  /** Bytes that the server keeps by themselves when the rest of the body does not come; by default, none. */
  readonly unit?: number;
  /** Milliseconds that the server may need on top. */
  readonly extra?: number;
  /** The proof of work that the request pays with. */
  readonly toll?: string;
}

/** The server asks for work before it takes more; `answer` says how much. */
export class TollAsked extends TipboxError {
  constructor(readonly answer: unknown) {
    super("toll");
  }
}

/** A refusal that passes; `pause` is what the server asks for, in milliseconds. */
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
  if (code === "toll") return new TollAsked(answer);
  if (response.status === 429) return new Busy("slow-down", pause);
  if (response.status === 503) return new Busy("unavailable", pause);
  if (response.status >= 500 || response.status === 408) return new Busy("network", pause);
  return new TipboxError(code ?? "internal");
}

/** The JSON object in these bytes, or `null`. Throws `network` for what only starts like one. */
export function parseJson(bytes: Bytes): unknown {
  const text = fromUtf8(bytes);
  try {
    return text?.startsWith("{") ? JSON.parse(text) : null;
  } catch {
    throw new TipboxError("network");
  }
}

/** The value of the Authorization header: the token in unpadded base64url. */
export function bearer(token: Bytes): string {
  return `Bearer ${toBase64(token).replace(/\+/g, "-").replace(/\//g, "_").replace(/[=]/g, "")}`;
}

/** Requests under one token. */
export class Connection {
  readonly timing: Timing;
  /** Called for each attempt that failed and will be repeated. */
  onCut: () => void = () => undefined;
  readonly #options: ConnectionOptions;
  readonly #authorization: string | null;
  #rate = 50_000; // bytes per second, a guess until the first answer
  /** What was told last: that an attempt failed, or that nothing is heard. */
  #trouble: "cut" | "quiet" | null = null;
  /** Requests under way. */
  #requests = 0;
  #silence: ReturnType<typeof setTimeout> | undefined;

  /** `token` is `null` for public files: such requests carry no Authorization header. */
  constructor(token: Bytes | null, options: ConnectionOptions) {
    this.#options = options;
    this.timing = { ...TIMING, ...options.timing };
    this.#authorization = token && bearer(token);
  }

  /** Runs `attempt` until it succeeds, fails for good, is stopped, or `retryFor` is over. */
  async retry<T>(attempt: (number: number) => Promise<T>): Promise<T> {
    const { signal, onTrouble } = this.#options;
    const { firstPause, longestPause, retryFor } = this.timing;
    const end = performance.now() + retryFor;
    let number = 0;
    let pause = 0;
    const next = async (): Promise<T> => {
      if (number > 0) await this.#pause(pause); // not the library's: `online` can end it
      signal.throwIfAborted();
      return attempt(++number);
    };
    const shouldRetry = (error: unknown): boolean => {
      const code = codeOf(error);
      if (!TRANSIENT.includes(code) || signal.aborted || performance.now() > end) return false;
      this.onCut();
      this.#rate = Math.max(500, this.#rate / 2);
      this.#trouble = "cut";
      const backoff = Math.min(longestPause, firstPause * 2 ** Math.min(16, number - 1));
      pause = Math.max(backoff, error instanceof Busy ? error.pause : 0);
      onTrouble?.(code, pause);
      return true;
    };
    return retry(next, { shouldRetry });
  }

  /**
   * The whole body of a good answer. Throws the `TipboxError` that any other answer stands for, and `network` for none.
   */
  async request({ method, url, body, expected = 0, unit, extra = 0, toll }: Request): Promise<Bytes> {
    const { signal } = this.#options;
    const { timeout, slack } = this.timing;
    const size = body?.length ?? 0;
    const usual = (size * 1000) / this.#rate;
    const slowest = (Math.min(size, unit ?? size) * 1000) / SLOWEST;
    const onPiece = (): void => this.#listen(usual, extra > 0 ? "unavailable" : "network");
    const started = performance.now();
    this.#requests++;
    onPiece();
    const [response, answer] = await once(
      url,
      {
        most: Math.max(expected, MOST_ANSWER),
        limit: Math.ceil(timeout + extra + Math.min(slack * usual, slowest)),
        signal,
        onPiece,
      },
      {
        method,
        headers: {
          ...(this.#authorization !== null && { Authorization: this.#authorization }),
          ...(body && { "Content-Type": "application/octet-stream" }),
          ...(toll !== undefined && { "Tipbox-Toll": toll }),
        },
        body: body === undefined ? null : new Blob([body]), // Chromium sends a Blob seven times as fast as an array
      },
    ).finally(() => {
      if (--this.#requests === 0) clearTimeout(this.#silence);
    });
    if (size > 0) this.#rate = (size * 1000) / Math.max(1, performance.now() - started);
    if (!response.ok) throw refusal(response, answer);
    // An upload is asked for its state before it goes on: that this GET was answered does not mean that sending works
    // again.
    if (this.#trouble !== null && (method !== "GET" || this.#authorization === null)) this.#recovered();
    return answer;
  }

  /** Something was heard, or a request begins: tells when then nothing is heard for longer than is usual. */
  #listen(usual: number, trouble: Code): void {
    clearTimeout(this.#silence);
    if (this.#trouble === "quiet") this.#recovered();
    this.#silence = setTimeout(
      () => {
        if (this.#trouble !== null) return; // that is told already
        this.#trouble = "quiet";
        this.#options.onTrouble?.(trouble);
      },
      Math.min(LONGEST_SILENCE, this.timing.quiet + usual),
    );
  }

  #recovered(): void {
    this.#trouble = null;
    this.#options.onTrouble?.(null);
  }

  /** Waits; less when a network comes back or everything is stopped. */
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
