// What is still to come while the page is used: it is asked for again by itself, with growing waits, and then by a
// button. Nothing that only a bad line keeps away is ever called the browser's fault.

import { type Code, codeOf } from "../errors.js";

/** Milliseconds between the tries that need nobody. */
const WAITS = [1000, 2000, 4000, 8000, 16_000];

/** How it stands with what is loaded: it tries again by itself for a reason, or waits to be told to. */
export interface Line {
  readonly trouble: Code;
  /** Tries again, when it does not do so by itself. */
  readonly again: (() => void) | null;
}

/** Milliseconds pass, or a network comes back. */
function pass(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      removeEventListener("online", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    addEventListener("online", end);
  });
}

/** Runs `attempt` until it succeeds, and tells how it stands meanwhile; `null` at the end. */
export async function persist<T>(attempt: () => Promise<T>, tell: (line: Line | null) => void): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      const found = await attempt();
      tell(null);
      return found;
    } catch (error) {
      const trouble = codeOf(error);
      const wait = WAITS[tries];
      if (wait === undefined) {
        await new Promise<void>((resolve) => tell({ trouble, again: resolve }));
        tell(null);
        tries = -1;
      } else {
        tell({ trouble, again: null });
        await pass(wait);
      }
    }
  }
}
