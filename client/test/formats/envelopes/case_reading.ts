// A tip or a reply read as the cases of tests/vectors tell it: with the keys of a case, and what it says of what came
// out.

import { type Bytes, fromHex, fromUtf8, toHex, utf8 } from "../../../src/formats/base/bytes.js";
import { sha256 } from "../../../src/formats/base/primitives.js";
import { splitHead } from "../../../src/formats/envelopes/envelope.js";
import { REPLY } from "../../../src/formats/envelopes/header.js";
import { encodeLetter, type Letter } from "../../../src/formats/envelopes/letter.js";
import { openReply } from "../../../src/formats/envelopes/reply.js";
import { checkDigits } from "../../../src/formats/envelopes/seals.js";
import { threadId } from "../derivations.js";
import { type OpenEnvelope, open, openFiles, readEnvelope, type WholeEnvelope } from "./envelope_opening.js";
import type { FindKey } from "./slot_opening.js";

export type Members = Readonly<Record<string, unknown>>;

export function text(value: unknown): string {
  if (typeof value !== "string") throw new Error("the case lacks a text");
  return value;
}

export function hex(value: unknown): Bytes {
  const bytes = fromHex(text(value));
  if (bytes === null) throw new Error("the case has bad hex");
  return bytes;
}

/** The reader's keys of a case. */
export function findKey(input: Members): FindKey {
  const seeds = new Map((input["keys"] as { id: string; seed: string }[]).map(({ id, seed }) => [id, hex(seed)]));
  const destroyed = input["destroyed"] as string[];
  return (id) => seeds.get(toHex(id)) ?? (destroyed.includes(toHex(id)) ? "too-late" : "unknown-key");
}

/** The JSON of a letter. */
export function metaOf(letter: Letter): string | null {
  const plaintext = encodeLetter(letter);
  return fromUtf8(plaintext.slice(4, 4 + new DataView(plaintext.buffer).getUint32(0)));
}

/** What a case says of a letter's message and files. */
async function contentsOf(letter: Letter, files: readonly Bytes[]): Promise<Members> {
  return {
    meta: metaOf(letter),
    message_sha256: toHex(await sha256(letter.message)),
    files: await Promise.all(
      letter.files.map(async ({ name, size, type }, i) => ({
        name,
        size,
        type,
        sha256: toHex(await sha256(files[i] ?? utf8(""))),
      })),
    ),
  };
}

/** Reads a tip: what was opened, and the `output` of a case. */
export async function readTip(bytes: Bytes, input: Members): Promise<{ opened: OpenEnvelope; output: Members }> {
  const opened = await open(bytes, hex(input["organisation"]), findKey(input));
  const { whole, letter, files } = opened;
  const output = {
    id: toHex(whole.id),
    hash: toHex(whole.hash),
    header_hash: toHex(whole.headerHash),
    content_key: toHex(opened.contentKey),
    pair_key: toHex(opened.pairKey),
    mailbox: toHex(opened.mailbox),
    seal_secret: toHex(opened.sealSecret),
    thread_id: toHex(await threadId(opened.pairKey)),
    check_digits: await checkDigits(opened, whole.hash),
    ...(await contentsOf(letter, files)),
    parts: whole.parts.length,
  };
  return { opened, output };
}

/** An opened reply. */
export interface OpenReply {
  readonly whole: WholeEnvelope;
  readonly letter: Letter;
  readonly files: readonly Bytes[];
}

/** Reads a reply: what was opened, and the `output` of a case. */
export async function readReply(bytes: Bytes, input: Members): Promise<{ opened: OpenReply; output: Members }> {
  const { head, rest } = splitHead(bytes, REPLY);
  const { letter, headerHash } = await openReply(head, hex(input["pair_key"]));
  const files = await openFiles(headerHash, letter, head.header.bodySize, rest);
  const whole = await readEnvelope(bytes, REPLY);
  return { opened: { whole, letter, files }, output: { id: toHex(whole.id), ...(await contentsOf(letter, files)) } };
}
