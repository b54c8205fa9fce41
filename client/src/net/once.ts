// One request and its answer, within bounds: nothing that a server or a proxy says fills a device's memory.

import { TipboxError } from "../errors.js";
import type { Bytes } from "../formats/base/bytes.js";

/** What a request and its answer may take. */
export interface Bounds {
  /** Bytes of the longest answer. */
  readonly most: number;
  /** Milliseconds. */
  readonly limit: number;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

/** The answer to a request, with its body. Throws `network` for none, and for one that breaks a bound. */
export async function once(
  url: string,
  { most, limit, signal = new AbortController().signal }: Bounds,
  init: RequestInit = {},
): Promise<readonly [Response, Bytes]> {
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(), limit);
  try {
    const answer = await fetch(url, {
      ...init,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.any([signal, end.signal]),
    });
    const bytes = new Uint8Array(most);
    const reader = answer.body?.getReader();
    for (let size = 0; ; ) {
      const piece = (await reader?.read())?.value;
      if (piece === undefined) return [answer, bytes.slice(0, size)];
      bytes.set(piece, size); // throws for one byte too many
      size += piece.length;
    }
  } catch {
    signal.throwIfAborted();
    throw new TipboxError("network");
  } finally {
    clearTimeout(timer);
    end.abort(); // what is not read any more need not come
  }
}
