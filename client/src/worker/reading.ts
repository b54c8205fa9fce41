// What of reading the worker has from the beginning: it takes a typed code, and loads the half that reads. Who asks for
// that half opens a mailbox next: its request tells nobody more than that one does.

import { codeOf, demand, TipboxError } from "../errors.js";
import type { ToWorker } from "../messages.js";
import { Connection } from "../net/http.js";
import { addresses, connectionOptions, listed, listsFor, now, tell } from "./host.js";
import { readTyped } from "./judge.js";
import type { reader } from "./read.js";

const loaded = globalThis as { reader?: typeof reader; importScripts?: (address: string) => void };

async function load(): Promise<typeof reader> {
  try {
    if (loaded.reader === undefined) loaded.importScripts?.("read.js"); // beside this worker
  } catch {
    throw new TipboxError("network");
  }
  demand(loaded.reader !== undefined, "internal");
  return loaded.reader;
}

async function open(typed: string): Promise<void> {
  const lists = await listsFor(typed).catch(() => []); // what was typed was judged, and so the page has said why
  const accessCode = await readTyped(typed, lists);
  demand(accessCode !== null, "bad-passphrase");
  tell({ kind: "opening" });
  const connection = connectionOptions();
  const { openMailbox } = await new Connection(null, connection).retry(load);
  tell({ kind: "reading", trouble: null });
  openMailbox(accessCode, { addresses, listed, named: now.named, connection, tell });
}

/** Does what the page asks of answers. */
export function hearReading(message: ToWorker): void {
  if (message.kind === "open")
    open(message.typed).catch((error: unknown) => tell({ kind: "unread", code: codeOf(error), deleting: false }));
  else loaded.reader?.hearReading(message);
}
