// What openings cost now (docs/protocol.md, section 3.2). To pay it, more is loaded (payer.ts).

import { Connection, type ConnectionOptions, parseJson } from "./http.js";

/** What openings cost at a moment: of a text, of a long one, and of an Envelope with files. */
export interface Prices {
  readonly letter: number;
  readonly long: number;
  readonly files: number;
}

/** How far the work for a place is: puzzles that are solved of all, and the seconds that are left by the pace so far. */
export interface Work {
  readonly solved: number;
  readonly total: number;
  readonly remaining: number | null;
}

/** The prices in an answer, or `null` when they are not there: who is told none pays when it is asked to. */
export function pricesOf(value: unknown): Prices | null {
  const is = typeof value === "object" && value !== null && "letter" in value && "long" in value && "files" in value;
  return is ? (value as Prices) : null; // only compared; who pays reads it closely
}

/** Asks, once. `api`: the address of `/api/envelope`. */
export async function askPrices(api: string, options: ConnectionOptions): Promise<Prices | null> {
  try {
    const url = new URL("toll", api).href;
    return pricesOf(parseJson(await new Connection(null, options).request({ method: "GET", url })));
  } catch {
    options.onTrouble?.(null); // what is sent next says its own
    return null;
  }
}
