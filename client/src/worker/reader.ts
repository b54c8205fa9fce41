// The worker that reads a mailbox. What seals and sends is in another one, which is loaded when somebody writes back.

import { codeOf, demand } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { toHex } from "../formats/base/bytes.js";
import { PIECE_SIZE } from "../formats/base/limits.js";
import type { Entry } from "../formats/mailbox_list.js";
import type { Answer, ToWorker } from "../messages.js";
import { MailboxClient, type ReadableReply } from "../net/mailbox_client.js";
import { addresses, connectionOptions, listsFor, manifests, organisationOf, serve, tell } from "./host.js";
import { readTyped } from "./judge.js";

/** An open mailbox: replies that are shown, and entries whose letter is still to be fetched, by id in hex. */
interface OpenMailbox {
  readonly client: MailboxClient;
  readonly shown: Map<string, ReadableReply>;
  readonly pending: Map<string, Entry>;
}

let mailbox: OpenMailbox | null = null;
/** The last step that was asked for: steps run one after the other. */
let reading = Promise.resolve();

function answerOf({ entry, letter, organisation }: ReadableReply): Answer {
  const manifest = manifests.find(({ id }) => toHex(id) === toHex(organisation));
  demand(manifest !== undefined, "internal");
  return {
    id: toHex(entry.id),
    day: entry.day,
    organisation: organisationOf(manifest),
    text: new TextDecoder().decode(letter.message),
    files: letter.files.map(({ name, size }) => ({ name, size })),
  };
}

async function open(typed: string): Promise<void> {
  const accessCode = await readTyped(typed, await listsFor(typed));
  demand(accessCode !== null, "bad-passphrase");
  tell({ kind: "opening" });
  const secrets = await accessCodes.secrets(accessCode);
  const client = new MailboxClient(
    addresses.mailbox,
    secrets,
    manifests.map(({ id }) => id),
    connectionOptions(),
  );
  const { shown, pending, others } = await client.open();
  mailbox = {
    client,
    shown: new Map(shown.map((one) => [toHex(one.entry.id), one])),
    pending: new Map(pending.map((one) => [toHex(one.id), one])),
  };
  tell({
    kind: "opened",
    accessCode: accessCodes.digits(accessCode),
    replies: shown.map(answerOf),
    pending: pending.map(({ id, day, openingSize }) => ({
      id: toHex(id),
      day,
      size: Math.ceil(openingSize / PIECE_SIZE) * PIECE_SIZE,
    })),
    others,
  });
}

async function load(reply: string): Promise<void> {
  const entry = mailbox?.pending.get(reply);
  if (mailbox === null || entry === undefined) return;
  const shown = await mailbox.client.load(entry);
  mailbox.pending.delete(reply);
  if (shown !== null) mailbox.shown.set(reply, shown);
  tell({ kind: "loaded", reply, answer: shown && answerOf(shown) });
}

async function fetchFile(reply: string, file: number): Promise<void> {
  const shown = mailbox?.shown.get(reply);
  if (mailbox === null || shown === undefined) return;
  const total = shown.letter.files[file]?.size ?? 0;
  let bytes = 0;
  let blob: Blob | null = null;
  try {
    blob = await mailbox.client.file(shown, file, (more) => {
      bytes = Math.min(total, bytes + more);
      tell({ kind: "fetching", reply, file, bytes, total });
    });
  } catch (error) {
    if (!["tampered", "incomplete"].includes(codeOf(error))) throw error;
  }
  tell({ kind: "fetched", reply, file, blob });
}

async function deleteShown(): Promise<void> {
  if (mailbox === null) return;
  await mailbox.client.delete([...mailbox.shown.values()].map(({ entry }) => entry));
  mailbox = null;
  tell({ kind: "deleted" });
}

/** Runs `step` after those that were asked for before. */
function next(step: () => Promise<void>): void {
  reading = reading.then(step).catch((error: unknown) => tell({ kind: "unread", code: codeOf(error) }));
}

function hear(message: ToWorker): void {
  switch (message.kind) {
    case "open":
      return next(() => open(message.typed));
    case "load":
      return next(() => load(message.reply));
    case "fetch":
      return next(() => fetchFile(message.reply, message.file));
    case "delete":
      return next(deleteShown);
  }
}

serve(hear);
