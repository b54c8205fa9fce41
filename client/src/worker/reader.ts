// The half of the worker that reads a mailbox. It comes in a file of its own when a code is opened, and is lent what it
// needs of the other half (reading.ts).

import { codeOf } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { type Bytes, fromHex, toHex } from "../formats/base/bytes.js";
import { ID_SIZE, PIECE_SIZE } from "../formats/base/limits.js";
import type { Addresses, Answer, FromWorker, Organisation, ToWorker } from "../messages.js";
import type { ConnectionOptions } from "../net/http.js";
import { type ListedReply, MailboxClient, type ReadableReply, type Whose } from "../net/mailbox_client.js";
import { mailboxLine } from "../net/mailbox_line.js";

/** Open mailboxes: replies that are shown, and those whose letter is still to be fetched, by id in hex. */
interface OpenMailbox {
  readonly client: MailboxClient;
  /** Asks on a line that `fetching` does not end. */
  readonly deleter: MailboxClient;
  readonly shown: Map<string, ReadableReply>;
  readonly pending: Map<string, ListedReply>;
}

/** What this half is lent. */
export interface Lent {
  readonly addresses: Addresses;
  /** The organisations of the page. */
  readonly listed: readonly Organisation[];
  /** Ids in hex of all that the server names. */
  readonly named: readonly string[];
  readonly connection: ConnectionOptions;
  readonly tell: (news: FromWorker) => void;
}

let lent: Lent;
let mailbox: OpenMailbox | null = null;
/** Ends what is being fetched, and what waits to be. */
let fetching = new AbortController();
/** The last step that was asked for: steps run one after the other. */
let reading = Promise.resolve();

function answerOf({ entry, letter, organisation }: ReadableReply): Answer {
  const id = toHex(organisation);
  return {
    id: toHex(entry.id),
    day: letter.day,
    organisation: id,
    from: lent.listed.find((one) => one.id === id)?.name ?? null,
    text: new TextDecoder().decode(letter.message),
    files: letter.files.map(({ name, size }) => ({ name, size })),
  };
}

/** The organisations of the page, then those that the server names: ids need no trust. */
function organisations(): Whose {
  const read = (ids: readonly string[]): Bytes[] =>
    [...new Set(ids)].map(fromHex).filter((id) => id !== null && id.length === ID_SIZE) as Bytes[];
  return { held: read(lent.listed.map(({ id }) => id)), named: read(lent.named) };
}

async function open(accessCode: Bytes): Promise<void> {
  const root = await accessCodes.rootOf(accessCode);
  const on = (connection: ConnectionOptions): MailboxClient =>
    new MailboxClient(mailboxLine(lent.addresses.mailbox, connection), root, organisations());
  const signal = AbortSignal.any([lent.connection.signal, fetching.signal]);
  const client = on({ ...lent.connection, signal });
  const { shown, pending, others, leftOut } = await client.open();
  mailbox = {
    client,
    deleter: on(lent.connection),
    shown: new Map(shown.map((one) => [toHex(one.entry.id), one])),
    pending: new Map(pending.map((one) => [toHex(one.entry.id), one])),
  };
  lent.tell({
    kind: "opened",
    accessCode: accessCodes.digits(accessCode),
    replies: shown.map(answerOf),
    pending: pending.map(({ entry: { id, day, openingSize } }) => ({
      id: toHex(id),
      day,
      size: Math.ceil(openingSize / PIECE_SIZE) * PIECE_SIZE,
    })),
    others,
    leftOut,
  });
}

async function load(reply: string): Promise<void> {
  const pending = mailbox?.pending.get(reply);
  if (mailbox === null || pending === undefined) return;
  // Whatever is wrong with one letter or file is wrong with that alone: the answers that are read stay.
  const shown = await mailbox.client.load(pending).catch(() => null);
  if (fetching.signal.aborted) return;
  mailbox.pending.delete(reply);
  if (shown !== null) mailbox.shown.set(reply, shown);
  lent.tell({ kind: "loaded", reply, answer: shown && answerOf(shown) });
}

async function fetchFile(reply: string, file: number): Promise<void> {
  const shown = mailbox?.shown.get(reply);
  if (mailbox === null || shown === undefined) return;
  const total = shown.letter.files[file]?.size ?? 0;
  let bytes = 0;
  const blob = await mailbox.client
    .file(shown, file, (more) => {
      bytes = Math.min(total, bytes + more);
      lent.tell({ kind: "fetching", reply, file, bytes, total });
    })
    .catch(() => null);
  if (fetching.signal.aborted) return;
  lent.tell({ kind: "fetched", reply, file, blob });
}

async function deleteShown(): Promise<void> {
  if (mailbox === null) return;
  lent.tell({ kind: "reading", trouble: null }); // of what was fetched
  await mailbox.deleter.delete([...mailbox.shown.values()]);
  mailbox = null;
  lent.tell({ kind: "deleted" });
}

/** Runs `step` after those that were asked for before. */
function next(step: () => Promise<void>): void {
  const deleting = step === deleteShown;
  reading = reading.then(step).catch((error: unknown) => lent.tell({ kind: "unread", code: codeOf(error), deleting }));
}

/** Opens the mailbox of an access code. */
export function openMailbox(accessCode: Bytes, of: Lent): void {
  lent = of;
  fetching = new AbortController();
  next(() => open(accessCode));
}

/** Does what the page asks of an open mailbox. */
export function hearReading(message: ToWorker): void {
  switch (message.kind) {
    case "load":
      return next(() => load(message.reply));
    case "fetch":
      return next(() => fetchFile(message.reply, message.file));
    case "delete":
      // Whoever deletes may have little time: nothing that is still to come is waited for.
      fetching.abort();
      return next(deleteShown);
  }
}
