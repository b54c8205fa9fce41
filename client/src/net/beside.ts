// Scripts that come only when they are needed, from beside the one that asks for them, so that pages stay small.

import { TipboxError } from "../errors.js";

/** Milliseconds after which a script that does not come is asked for anew; longer each time, for a line may be slow. */
const PATIENCE = 60_000;

/** So many times as long at most: what is asked for while there is no network is lost at once, again and again. */
const LONGEST = 5;

/** Browsers remember by its address that a script did not come, and let a second request for it wait for the first. */
let losses = 0;

/** One attempt to import the script of this name, of the folder of whoever asks. Throws `network` when it is lost. */
export function importBeside(name: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let isLost = false;
    const lost = (): void => {
      if (!isLost) losses++;
      isLost = true;
      reject(new TipboxError("network"));
    };
    const timer = setTimeout(lost, PATIENCE * Math.min(losses + 1, LONGEST));
    const address = losses === 0 ? `./${name}` : `./${name}?${losses}`;
    import(address).then(resolve, lost).finally(() => clearTimeout(timer));
  });
}
