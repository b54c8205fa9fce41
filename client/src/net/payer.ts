// Paying the toll of an opening (docs/protocol.md, section 3.2).

import { demand, TipboxError } from "../errors.js";
import { type Bytes, fromBase64 } from "../formats/base/bytes.js";
import { ASKED, encodeProof, LADDER, meanTries, PUZZLES, Puzzles } from "../formats/toll.js";

/** Milliseconds between two calls of `onWork`: the page shows each of them. */
const TOLD_EVERY = 250;

/** How far the work is: puzzles that are solved of all, and the seconds that are left by the pace so far. */
export interface Work {
  readonly solved: number;
  readonly total: number;
  readonly remaining: number | null;
}

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

/** Pays for one upload. */
export class Payer {
  readonly #token: Bytes;
  readonly #signal: AbortSignal;
  readonly #onWork: (work: Work | null) => void;
  #puzzles: Puzzles | null = null;
  #seed = "";

  constructor(token: Bytes, signal: AbortSignal, onWork: (work: Work | null) => void = () => undefined) {
    this.#token = token;
    this.#signal = signal;
    this.#onWork = onWork;
  }

  /** The header for what a server asks. Throws `full` above ASKED: a lying server could drain a battery. */
  async pay(answer: unknown): Promise<string> {
    const { hour, seed, price } = parseQuote(answer);
    if (price > ASKED) throw new TipboxError("full");
    // One rung more than is asked: the price may rise while the work is done.
    const effort = Math.min(ASKED, LADDER.find((one) => one > price) ?? ASKED);
    if (this.#puzzles === null || this.#seed !== String(seed)) {
      this.#puzzles = await Puzzles.of(seed, this.#token);
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
        this.#onWork({ solved, total: PUZZLES, remaining });
      };
      const nonces = await this.#puzzles.solve(effort, ({ solved, tries }) => tell(solved, tries), this.#signal);
      return encodeProof({ hour, effort, nonces });
    } finally {
      this.#onWork(null);
    }
  }
}
