// What of continuing an upload the worker has from the beginning: it takes a typed code, and loads the rest.

import { codeOf, demand, TipboxError } from "../../errors.js";
import * as accessCodes from "../../formats/access_code.js";
import { toHex } from "../../formats/base/bytes.js";
import type { ToWorker } from "../../messages.js";
import type { ConnectionOptions } from "../../net/http.js";
import { addresses, connectionOptions, fail, listed, listsFor, scope, tell } from "../host.js";
import { readTyped } from "../judge.js";
import { late } from "../late.js";
import type * as continuing from "./continuing.js";

let open: continuing.Continuing | null = null;
let stop = new AbortController();

/** What makes capsules, and opens them. */
export function loadContinuing(options: ConnectionOptions): Promise<typeof continuing> {
  return late("continuing.js", options);
}

/** How often a search was asked for: nothing is said of one when another has taken its place. */
let searches = 0;

async function find(typed: string, search: number): Promise<void> {
  const lists = await listsFor(typed).catch(() => []); // what was typed was judged, and so the page has said why
  const accessCode = await readTyped(typed, lists);
  demand(accessCode !== null, "bad-passphrase");
  const connection = connectionOptions();
  const { Continuing } = await loadContinuing(connection);
  const root = await accessCodes.rootOf(accessCode);
  if (search !== searches) return void root.fill(0);
  forget();
  const found = new Continuing(root, {
    api: addresses.envelope,
    listed,
    connection,
    tell,
  });
  open = found;
  const { uploads, refused } = await found.find();
  if (search === searches) tell({ kind: "found", accessCode: accessCodes.digits(accessCode), uploads, refused });
}

function forget(): void {
  open?.wipe();
  open = null;
}

async function go(upload: number, files: readonly File[]): Promise<void> {
  stop = new AbortController();
  demand(open !== null, "internal");
  const going = open.go(upload, files, { signal: stop.signal, wake: scope });
  going.catch(forget);
  const ended = await going;
  if (ended === null) return;
  forget();
  const elsewhere = ended === "elsewhere";
  tell({ kind: "stored", continues: elsewhere ? "" : toHex(ended), missing: [], inDoubt: false, elsewhere });
}

/** Gives up an upload that was found, for one that has taken its place. */
export function giveUp(upload: number): void {
  open?.giveUp(upload).catch(() => undefined); // it expires
}

/** Does what the page asks of uploads of another day. */
export function hearContinuing(message: ToWorker): void {
  if (message.kind === "find") {
    const search = ++searches;
    find(message.typed, search).catch((error: unknown) => {
      if (search === searches) tell({ kind: "unfound", code: codeOf(error) });
    });
  } else if (message.kind === "continue") go(message.upload, message.files).catch(fail);
  else if (message.kind === "stop") stop.abort(new TipboxError("stopped"));
}
