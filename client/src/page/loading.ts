// What is still to come while the page is used: it is asked for again by itself, with growing waits, and then by a
// button. Nothing that only a bad line keeps away is ever called the browser's fault.

import { type Code, codeOf, TipboxError } from "../errors.js";
import { isWhole } from "./first/first_field.js";

/** Milliseconds between the tries that need nobody. */
const WAITS = [1000, 2000, 4000, 8000, 16_000];
/** Milliseconds after which a script that has not come is asked for anew; longer each time, for a line may be slow. */
const PATIENCE = 60_000;

/** How it stands with what is loaded: it tries again by itself for a reason, or waits to be told to. */
export interface Line {
  readonly trouble: Code;
  /** Tries again, when it does not do so by itself. */
  readonly again: (() => void) | null;
}

/** Milliseconds pass, or this event comes. */
function until(event: "load" | "online", milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      removeEventListener(event, end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    addEventListener(event, end);
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
        await until("online", wait);
      }
    }
  }
}

/**
 * Sees to it that a script of the document comes: once all that the document names has come or broken, or when one of
 * these stalls, it is asked for again until `isThere`.
 */
export async function needScript(
  address: string,
  isThere: () => boolean,
  tell: (line: Line | null) => void,
): Promise<void> {
  let tries = 0;
  if (!isThere() && document.readyState !== "complete") await until("load", PATIENCE);
  while (document.readyState === "loading" && !isWhole()) await until("load", PATIENCE); // it is loaded again
  const attempt = (): Promise<void> =>
    new Promise((resolve, reject) => {
      if (isThere()) return resolve();
      const script = document.createElement("script");
      const end = (): void => (isThere() ? resolve() : reject(new TipboxError("network")));
      script.addEventListener("load", end);
      script.addEventListener("error", end);
      tries++;
      setTimeout(end, PATIENCE * 2 ** tries);
      script.src = `${address}?${tries}`; // by the same address it would wait for the one that stalls
      document.head.append(script);
    });
  await persist(attempt, tell);
}
