// What the worker loads only when it is needed, so that pages stay small. It never waits for one of these with its hands
// full: a script that blocks a worker keeps it from hearing "Stop", and from saying that the line broke.

import { TipboxError } from "../errors.js";
import { Connection, type ConnectionOptions } from "../net/http.js";

/** Milliseconds after which a script that does not come is asked for anew; longer each time, for a line may be slow. */
const PATIENCE = 60_000;

const coming = new Map<string, Promise<unknown>>();
/** Browsers remember by its address that a script did not come, and let a second request for it wait for the first. */
let losses = 0;

function ask(name: string): Promise<unknown> {
  const script = new Promise((resolve, reject) => {
    const lost = (): void => {
      losses++;
      coming.delete(name);
      reject(new TipboxError("network"));
    };
    const timer = setTimeout(lost, PATIENCE * (losses + 1));
    const address = losses === 0 ? `./${name}` : `./${name}?${losses}`; // beside this worker
    import(address).then(resolve, lost).finally(() => clearTimeout(timer));
  });
  coming.set(name, script);
  return script;
}

/** Loads the script of this name, however often the line breaks. Throws what ends the signal. */
export async function late<T>(name: string, options: ConnectionOptions): Promise<T> {
  const { signal, onTrouble } = options;
  const attempt = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      signal.addEventListener("abort", () => reject(signal.reason));
      (coming.get(name) ?? ask(name)).then(resolve, reject);
    });
  const script = await new Connection(null, options).retry(attempt);
  onTrouble?.(null);
  return script as T;
}
