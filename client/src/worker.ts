// The worker: holds every secret of the page, seals and uploads while the page stays alive.

import { toHex, utf8 } from "./bytes.js";
import { today } from "./days.js";
import { codeOf, TipboxError } from "./errors.js";
import { FileError } from "./files.js";
import type { Manifest } from "./keys.js";
import type { FromWorker, Order, ToWorker } from "./messages.js";
import { readManifests, send } from "./send.js";

/** The little of a worker's global scope that is used; the DOM's types only know windows. */
interface WorkerScope extends EventTarget {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

const scope = self as unknown as WorkerScope;
let manifests: Manifest[] = [];
let stop = new AbortController();

function tell(news: FromWorker): void {
  scope.postMessage(news);
}

function fail(error: unknown): void {
  tell({ kind: "failed", code: codeOf(error), file: error instanceof FileError ? error.index : null });
}

async function start(files: readonly string[]): Promise<void> {
  if (!globalThis.isSecureContext || globalThis.crypto?.subtle === undefined) throw new TipboxError("unsupported");
  manifests = await readManifests(files.map(utf8), today());
  const organisations = manifests.map(({ id, name, country, languages }) => ({ id: toHex(id), name, country, languages }));
  tell({ kind: "ready", organisations });
}

async function run(order: Order): Promise<void> {
  stop = new AbortController();
  await send(order, manifests, today(), tell, { signal: stop.signal, wake: scope });
  tell({ kind: "stored" });
}

scope.onmessage = ({ data }) => {
  switch (data.kind) {
    case "start":
      start(data.manifests).catch(fail);
      break;
    case "send":
      run(data.order).catch(fail);
      break;
    case "stop":
      stop.abort(new TipboxError("stopped"));
      break;
  }
};
