// Paying the toll of an opening (docs/protocol.md, section 3.2).

import { demand, TipboxError } from "../errors.js";
import { type Bytes, fromBase64 } from "../formats/base/bytes.js";
import { random } from "../formats/base/primitives.js";
import { ASKED, encodeProof, LADDER, meanTries, PUZZLES, Puzzles } from "../formats/toll.js";
import { Connection, parseJson } from "./http.js";

const TOKEN_SIZE = 32;

/** Milliseconds between two calls of `onWork`: the page shows each of them. */
const TOLD_EVERY = 250;

/** How far the work is: puzzles that are solved of all, and the seconds that are left by the pace so far. */
export interface Work {
  readonly solved: number;
  readonly total: number;
  readonly remaining: number | null;
}

/** What a server asks of one opening. */
export interface Quote {
  readonly hour: number;
  readonly seed: Bytes;
  readonly price: number;
}

/** What openings cost at a moment: of a text, of a long one, and of an Envelope with files. */
export interface Prices {
  readonly letter: number;
  readonly long: number;
  readonly files: number;
  /** What a server asks that has this price. */
  readonly quote: (price: number) => Quote;
}

function priceOf(value: unknown): number {
  demand(typeof value === "number" && LADDER.includes(value), "network");
  return value;
}

function seedOf(value: object): Omit<Quote, "price"> {
  demand("hour" in value && "seed" in value, "network");
  const { hour, seed } = value;
  demand(typeof hour === "number" && Number.isSafeInteger(hour) && hour >= 0 && hour < 1e10, "network");
  demand(typeof seed === "string" && seed.length === 43, "network");
  const bytes = fromBase64(`${seed.replace(/-/g, "+").replace(/_/g, "/")}=`);
  demand(bytes !== null, "network");
  return { hour, seed: bytes };
}

function parseQuote(value: unknown): Quote {
  demand(typeof value === "object" && value !== null && "price" in value, "network");
  const price = priceOf(value.price);
  demand(price > 0, "network");
  return { ...seedOf(value), price };
}

/** Asks what openings cost now, once: who is not answered pays when it is asked to. `api`: that of `/api/envelope`. */
export async function askPrices(api: string, signal: AbortSignal): Promise<Prices | null> {
  try {
    const url = new URL("toll", api).href;
    const value = parseJson(await new Connection(null, { signal }).request({ method: "GET", url }));
    demand(typeof value === "object" && value !== null, "network");
    demand("letter" in value && "long" in value && "files" in value, "network");
    const [letter, long, files] = [priceOf(value.letter), priceOf(value.long), priceOf(value.files)];
    const seed = seedOf(value);
    return { letter, long, files, quote: (price) => ({ ...seed, price }) };
  } catch {
    return null;
  }
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
  readonly token = random(TOKEN_SIZE);
  readonly #stop = new AbortController();
  #options: Omit<PayerOptions, "signal"> = {};
  #puzzles: Puzzles | null = null;
  #seed = "";
  #agreed = ASKED;
  #ahead: Promise<string | undefined> = Promise.resolve(undefined);

  /** From now on for this upload. */
  bind({ signal, ...options }: PayerOptions): void {
    this.#options = options;
    const stop = (): void => this.#stop.abort(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  }

  /** Works before anything is sent, while the source still writes: for no more than ASKED, and nobody is asked. */
  start(quote: Quote): void {
    if (quote.price === 0 || quote.price > ASKED) return;
    this.#ahead = this.#work(quote).catch(() => undefined); // then the server asks for it
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

  async #work({ hour, seed, price }: Quote): Promise<string> {
    // One rung more than is asked: the price may rise while the work is done.
    const effort = Math.min(Math.max(this.#agreed, price), LADDER.find((one) => one > price) ?? price);
    if (this.#puzzles === null || this.#seed !== String(seed)) {
      this.#puzzles = await Puzzles.of(seed, this.token);
      this.#seed = String(seed);
    }
    const started = performance.now();
    let told = Number.NEGATIVE_INFINITY;
    try {
      const tell = (solved: number, tries: number): void => {
        const now = performance.now();
        if (now - told < TOLD_EVERY) return;
        told = now;
        const left = (PUZZLES - solved) * meanTries(effort);
        const remaining = tries === 0 ? null : (left * (now - started)) / tries / 1000;
        this.#options.onWork?.({ solved, total: PUZZLES, remaining });
      };
      const { signal } = this.#stop;
      const nonces = await this.#puzzles.solve(effort, ({ solved, tries }) => tell(solved, tries), signal);
      return encodeProof({ hour, effort, nonces });
    } finally {
      this.#options.onWork?.(null);
    }
  }
}
