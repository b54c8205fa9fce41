// What both workers do: they hold every secret of the page, seal and upload, and judge what is typed.

import { type Bytes, toHex, utf8 } from "./bytes.js";
import { today } from "./days.js";
import { type Code, codeOf, TipboxError } from "./errors.js";
import { FileError } from "./files.js";
import type { Manifest } from "./keys.js";
import type { Addresses, FromWorker, Order, Organisation, ToWorker } from "./messages.js";
import { readManifests, send } from "./send.js";
import * as typing from "./typed.js";

/** The little of a worker's global scope that is used; the DOM's types only know windows. */
interface WorkerScope extends EventTarget {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

/** What only a worker that reads mailboxes does. */
export interface Reading {
  /** The Passphrase of the mailbox that is open: messages go out under it. */
  passphrase(): Bytes | null;
  hear(message: ToWorker): void;
}

const scope = self as unknown as WorkerScope;
export let manifests: readonly Manifest[] = [];
export let addresses: Addresses = { envelope: "", mailbox: "", lists: "" };
let stop = new AbortController();

export function tell(news: FromWorker): void {
  scope.postMessage(news);
}

/** How requests behave on this page's line. */
export function line(): { signal: AbortSignal; wake: EventTarget; onLine: (trouble: Code | null) => void } {
  return { signal: new AbortController().signal, wake: scope, onLine: (trouble) => tell({ kind: "line", trouble }) };
}

export function organisationOf({ id, name, country, languages }: Manifest): Organisation {
  return { id: toHex(id), name, country, languages };
}

async function start(files: readonly string[], where: Addresses): Promise<void> {
  if (!globalThis.isSecureContext || globalThis.crypto?.subtle === undefined) throw new TipboxError("unsupported");
  addresses = where;
  manifests = await readManifests(files.map(utf8), today());
  tell({ kind: "ready", organisations: manifests.map(organisationOf) });
}

async function run(order: Order, known: Bytes | null): Promise<void> {
  stop = new AbortController();
  await send(order, manifests, today(), tell, { signal: stop.signal, wake: scope }, known);
  tell({ kind: "stored" });
}

async function judge(turn: number, typed: string, digits: string | null): Promise<void> {
  tell({ kind: "judged", turn, judgement: await typing.judgeDigits(typed, digits) });
}

async function spell(digits: string, language: string): Promise<void> {
  void digits;
  void language;
}

function fail(error: unknown): void {
  tell({ kind: "failed", code: codeOf(error), file: error instanceof FileError ? error.index : null });
}

/** Listens to the page. */
export function serve(reading: Reading | null): void {
  scope.onmessage = ({ data }) => {
    switch (data.kind) {
      case "start":
        start(data.manifests, data.addresses).catch(fail);
        break;
      case "send":
        run(data.order, reading?.passphrase() ?? null).catch(fail);
        break;
      case "stop":
        stop.abort(new TipboxError("stopped"));
        break;
      case "spell":
        spell(data.digits, data.language).catch(fail);
        break;
      case "judge":
        judge(data.turn, data.typed, data.digits).catch(fail);
        break;
      default:
        reading?.hear(data);
    }
  };
}
