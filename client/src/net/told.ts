// What a page asks for itself, without a worker: what changes from day to day, which everybody is told alike. No key of
// a source and nothing that it does is in it.

import { TipboxError } from "../errors.js";
import { MAX_NOW } from "../formats/base/limits.js";
import { once } from "./once.js";

/** By id in hex of each that can be written to: a day, or null before the first. Nothing is known of the values yet. */
export type Collected = Readonly<Record<string, unknown>>;

/** The text of `/api/now`, asked for once. Throws `network`, `slow-down`, `unavailable`. */
export async function askTold(address: string): Promise<string> {
  const [answer, bytes] = await once(address, { most: MAX_NOW });
  if (answer.ok) return new TextDecoder().decode(bytes);
  if (answer.status === 429) throw new TipboxError("slow-down");
  throw new TipboxError(answer.status === 503 ? "unavailable" : "network");
}

/** What of it is shown on the page, or `null` when it is not there. */
export function collectedOf(text: string): Collected | null {
  try {
    const told = JSON.parse(text) as { readonly collected?: unknown } | null;
    return typeof told?.collected === "object" ? (told.collected as Collected | null) : null;
  } catch {
    return null;
  }
}
