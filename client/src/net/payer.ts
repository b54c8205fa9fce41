// Paying the toll of an opening (docs/protocol.md, section 3.2). Loaded when it is asked for, to keep the page small.

import { demand, TipboxError } from "../errors.js";
import { type Bytes, fromBase64 } from "../formats/base/bytes.js";
import { ASKED, encodeProof, LADDER, meanTries, PUZZLES, Puzzles } from "../formats/toll.js";
import type { Work } from "./prices.js";

/** Milliseconds between two calls of `onWork`: the page shows each of them. */
const TOLD_EVERY = 250;
const HOUR = 3_600_000;
/**
 * How often a server may ask anew for one upload in an hour, but for a price that rose: seeds change with the hour and
 * with a restart, and one that asks again and again lies.
 */
const MOST_SEARCHES = 3;

/** What a server asks of one opening. */
interface Quote {
  readonly hour: number;
  readonly seed: Bytes;
  readonly price: number;
}

function parseQuote(value: unknown): Quote {
  demand(typeof value === "object" && value !== null, "network");
  demand("hour" in value && "seed" in value && "price" in value, "network");
  const { hour, seed, price } = value;
  demand(typeof hour === "number" && Number.isSafeInteger(hour) && hour >= 0 && hour < 1e10, "network");
  demand(typeof price === "number" && price > 0 && LADDER.includes(price), "network");
  demand(typeof seed === "string" && seed.length === 43, "network");
  const bytes = fromBase64(`${seed.replace(/-/g, "+").replace(/_/g, "/")}=`);
  demand(bytes !== null, "network");
  return { hour, seed: bytes, price };
}

/** What a payer is bound to once its upload begins. */
export interface PayerOptions {
  /** Ends the work. */
  readonly signal: AbortSignal;
  /** Called while it works, and with `null` when it is done. */
  readonly onWork?: (work: Work | null) => void;
  /** Asks the source whether to work more than ASKED; throws when not. By default, as if the server were full. */
  readonly agrees?: (effort: number) => Promise<void>;
}

/** Pays for the upload of one draft token. */
export class Payer {
  readonly #stop = new AbortController();
  #options: Omit<PayerOptions, "signal"> = {};
  #puzzles: Puzzles | null = null;
  #seed = "";
  #paid = 0;
  #begun: readonly number[] = [];
  #agreed = ASKED;
  #ahead: Promise<string | undefined> = Promise.resolve(undefined);
  #before = new AbortController();

  constructor(readonly token: Bytes) {}

  /** From now on for this upload. */
  bind({ signal, ...options }: PayerOptions): void {
    this.#options = options;
    const stop = (): void => this.#stop.abort(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  }

  /**
   * Works before anything is sent, while the source still writes: for no more than ASKED, and nobody is asked. What was
   * begun so before ends.
   */
  start(answer: unknown): void {
    this.#before.abort();
    this.#before = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, this.#before.signal]);
    // One search at a time goes on with the puzzles.
    this.#ahead = this.#ahead.then(() => this.#begin(answer, signal)).catch(() => undefined); // then the server asks
  }

  async #begin(answer: unknown, signal: AbortSignal): Promise<string> {
    const quote = parseQuote(answer);
    demand(quote.price <= ASKED, "full");
    return this.#work(quote, signal);
  }

  /** The header that was worked for before; waits until it is done. */
  async ahead(): Promise<string | undefined> {
    return this.#ahead;
  }

  /** Ends the work for good. */
  stop(): void {
    this.#stop.abort(new TipboxError("stopped"));
  }

  /** The header for what a server asks. Above ASKED the source is asked: a lying server could drain a battery. */
  async pay(answer: unknown): Promise<string> {
    const quote = parseQuote(answer);
    if (quote.price > this.#agreed) {
      await this.#agreement(quote.price);
      this.#agreed = quote.price;
    }
    return this.#work(quote);
  }

  async #agreement(effort: number): Promise<void> {
    const { agrees } = this.#options;
    if (agrees === undefined) throw new TipboxError("full");
    const { signal } = this.#stop;
    let end: () => void = () => undefined;
    const stopped = new Promise<never>((_, reject) => {
      end = () => reject(signal.reason);
      signal.addEventListener("abort", end);
    });
    await Promise.race([agrees(effort), stopped]).finally(() => signal.removeEventListener("abort", end));
  }

  async #work({ hour, seed, price }: Quote, signal = this.#stop.signal): Promise<string> {
    const started = performance.now();
    const isKnown = this.#seed === String(seed);
    if (!isKnown || price <= this.#paid) {
      this.#begun = this.#begun.filter((one) => started - one < HOUR);
      demand(this.#begun.length < MOST_SEARCHES, "full");
      this.#begun = [...this.#begun, started];
    }
    this.#paid = price;
    if (this.#puzzles === null || !isKnown) {
      this.#puzzles = await Puzzles.of(seed, this.token);
      this.#seed = String(seed);
    }
    let told = Number.NEGATIVE_INFINITY;
    try {
      const tell = (solved: number, tries: number): void => {
        const now = performance.now();
        if (now - told < TOLD_EVERY) return;
        told = now;
        const left = (PUZZLES - solved) * meanTries(price);
        const remaining = tries === 0 ? null : (left * (now - started)) / tries / 1000;
        this.#options.onWork?.({ solved, total: PUZZLES, remaining });
      };
      const nonces = await this.#puzzles.solve(price, ({ solved, tries }) => tell(solved, tries), signal);
      return encodeProof({ hour, effort: price, nonces });
    } finally {
      this.#options.onWork?.(null);
    }
  }
}
