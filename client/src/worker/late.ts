// What the worker loads only when it is needed, so that pages stay small. It never waits for one of these with its hands
// full: a script that blocks a worker keeps it from hearing "Stop", and from saying that the line broke.

import { importBeside } from "../net/beside.js";
import { Connection, type ConnectionOptions } from "../net/http.js";

const coming = new Map<string, Promise<unknown>>();

function ask(name: string): Promise<unknown> {
  const script = importBeside(name);
  coming.set(name, script);
  script.catch(() => coming.delete(name));
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
