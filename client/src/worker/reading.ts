// What of reading the worker has from the beginning: it takes a typed code, and loads the half that reads. Who asks for
// that half opens a mailbox next: its request tells nobody more than that one does.

import { codeOf, demand } from "../errors.js";
import type { ToWorker } from "../messages.js";
import { addresses, connectionOptions, listed, listsFor, now, tell } from "./host.js";
import { readTyped } from "./judge.js";
import { late } from "./late.js";
import type * as read from "./reader.js";

/** The half that reads, once it is there. */
let reader: typeof read | null = null;

/** How often a code was typed to be opened: nothing is said of one when another has taken its place. */
let openings = 0;

async function open(typed: string, opening: number): Promise<void> {
  const lists = await listsFor(typed).catch(() => []); // what was typed was judged, and so the page has said why
  const accessCode = await readTyped(typed, lists);
  demand(accessCode !== null, "bad-passphrase");
  if (opening !== openings) return;
  tell({ kind: "opening" });
  const connection = connectionOptions();
  reader = await late<typeof read>("read.js", connection);
  if (opening === openings) reader.openMailbox(accessCode, { addresses, listed, named: now.named, connection, tell });
}

/** Does what the page asks of answers. */
export function hearReading(message: ToWorker): void {
  if (message.kind === "open") {
    const opening = ++openings;
    open(message.typed, opening).catch((error: unknown) => {
      if (opening === openings) tell({ kind: "unread", code: codeOf(error), deleting: false });
    });
  } else reader?.hearReading(message);
}
