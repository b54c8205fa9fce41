// Up to which day each organisation has collected: the one thing that a page asks for itself, without a worker. No key
// and nothing of a source is in it.

/** By id in hex of each that can be written to: a day, or null before the first. Nothing is known of the values yet. */
export type Collected = Readonly<Record<string, unknown>>;

/** Asks `/api/now`, once: the page is whole without it. */
export async function askCollected(address: string): Promise<Collected | null> {
  try {
    const answer = await fetch(address, { cache: "no-store", credentials: "omit", redirect: "error" });
    const told = (await answer.json()) as { readonly collected?: unknown } | null;
    return answer.ok && typeof told?.collected === "object" ? (told.collected as Collected | null) : null;
  } catch {
    return null;
  }
}
