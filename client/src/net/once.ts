// One request and its answer, within bounds: nothing that a server or a proxy says fills a device's memory.

import { TipboxError } from "../errors.js";
import type { Bytes } from "../formats/base/bytes.js";

/** Milliseconds without a byte after which an answer that has begun is given up. */
export const PATIENCE = 90_000;

/** What a request and its answer may take. */
export interface Bounds {
  /** Bytes of the longest answer. */
  readonly most: number;
  /** Milliseconds until it begins. */
  readonly limit?: number;
  /** Ends it. */
  readonly signal?: AbortSignal;
  /** Called when it begins, and for each piece that comes. */
  readonly onPiece?: () => void;
}

/** The answer to a request, with its body. Throws `network` for none, and for one that breaks a bound. */
export async function once(
  url: string,
  { most, limit = PATIENCE, signal = new AbortController().signal, onPiece }: Bounds,
  init: RequestInit = {},
): Promise<readonly [Response, Bytes]> {
  const end = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = (milliseconds: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => end.abort(), milliseconds);
  };
  wait(limit);
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
      wait(PATIENCE);
      onPiece?.();
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
