// The client under Node, for test_interop.py and differential runs: one request a line on standard input, one answer a
// line on standard output.

import { createInterface } from "node:readline";
import { codeOf } from "../../client/src/errors.js";
import * as accessCodes from "../../client/src/formats/access_code.js";
import { type Bytes, concat, fromBase64, fromHex, toBase64, toHex } from "../../client/src/formats/base/bytes.js";
import { asciiDigits, divide, hasUnseen } from "../../client/src/formats/base/characters.js";
import { format as formatDay, parse as parseDay } from "../../client/src/formats/base/days.js";
import { PART_SIZE } from "../../client/src/formats/base/limits.js";
import { endOf, seal, splitHead } from "../../client/src/formats/envelopes/envelope.js";
import { REPLY } from "../../client/src/formats/envelopes/header.js";
import type { Letter } from "../../client/src/formats/envelopes/letter.js";
import { openReply } from "../../client/src/formats/envelopes/reply.js";
import { checkDigits, envelopeId } from "../../client/src/formats/envelopes/seals.js";
import { check, currentKey, parse as parseManifest } from "../../client/src/formats/manifest.js";
import { fold } from "../../client/src/formats/wordlists.js";
import { BodyReader } from "../../client/src/worker/files.js";
import { encodeManifest } from "../../client/test/formats/encoders.js";
import { readReply, readTip } from "../../client/test/formats/envelopes/case_reading.js";
import { open, openFiles } from "../../client/test/formats/envelopes/envelope_opening.js";

// biome-ignore lint/suspicious/noExplicitAny: requests are what test_interop.py writes
type Request = Record<string, any>;

const base64 = (text: string): Bytes => fromBase64(text) ?? new Uint8Array(0);
const hex = (text: string): Bytes => fromHex(text) ?? new Uint8Array(0);

function filesOf(letter: Letter, contents: readonly Bytes[]): Request[] {
  return letter.files.map(({ name, type, size }, i) => ({
    name,
    type,
    size,
    data: toBase64(contents[i] ?? new Uint8Array(0)),
  }));
}

/** The code points that `holds` says yes to. */
function where(holds: (character: string) => boolean): number[] {
  const found: number[] = [];
  for (let code = 0; code <= 0x10_ff_ff; code++) {
    if ((code < 0xd8_00 || code > 0xdf_ff) && holds(String.fromCodePoint(code))) found.push(code);
  }
  return found;
}

const operations: Record<string, (request: Request) => Promise<Request>> = {
  async seal({ recipients, message, files, language, run }) {
    const contents: Blob[] = files.map((file: Request) => new Blob([base64(file["data"])]));
    const letter = {
      message: base64(message),
      files: files.map(({ name, type }: Request, i: number) => ({ name, type, size: contents[i]?.size })),
      id: crypto.getRandomValues(new Uint8Array(16)),
      language,
    };
    const to = recipients.map((one: Request) => ({
      organisation: hex(one["organisation"]),
      key: hex(one["key"]),
      publicKey: base64(one["publicKey"]),
      chosen: one["pairKey"] === null ? null : { pairKey: hex(one["pairKey"]), mailbox: hex(one["mailbox"]) },
    }));
    const sealed = await seal(to, letter);
    const reader = new BodyReader(contents, sealed.bodySize);
    const parts: Bytes[] = [];
    // As the worker does it: several parts at a time.
    while (sealed.body.next < sealed.body.parts) parts.push(await sealed.body.seal(await reader.read(run * PART_SIZE)));
    const { hash, trailer } = await endOf(sealed, sealed.body.hashes);
    return {
      envelope: toBase64(concat(sealed.header, sealed.letter, ...parts, trailer)),
      id: toHex(await envelopeId(hash, trailer)),
      hash: toHex(hash),
      digits: await Promise.all(sealed.seals.map(({ secrets }) => secrets && checkDigits(secrets, hash))),
    };
  },

  async open({ envelope, organisation, seed }) {
    const { letter, whole, files, ...slot } = await open(base64(envelope), hex(organisation), () => hex(seed));
    return {
      message: toBase64(letter.message),
      files: filesOf(letter, files),
      language: letter.language,
      pairKey: toHex(slot.pairKey),
      mailbox: toHex(slot.mailbox),
      id: toHex(whole.id),
      digits: await checkDigits(slot, whole.hash),
    };
  },

  async reply({ envelope, pairKey }) {
    const { head, rest } = splitHead(base64(envelope), REPLY);
    const { letter, headerHash } = await openReply(head, hex(pairKey));
    const files = await openFiles(headerHash, letter, head.header.bodySize, rest);
    return {
      message: toBase64(letter.message),
      files: filesOf(letter, files),
      language: letter.language,
      answers: toHex(letter.answers),
      day: formatDay(letter.day),
    };
  },

  /** A case of tests/vectors, of kind `envelope` or `reply`: its output. */
  async read({ kind, input }) {
    const bytes = base64(input["envelope"]);
    return (kind === "reply" ? await readReply(bytes, input) : await readTip(bytes, input)).output;
  },

  async passphrase({ digits, organisation }) {
    const accessCode = digits === null ? await accessCodes.generate() : await accessCodes.parse(digits);
    const root = await accessCodes.rootOf(accessCode);
    return {
      digits: accessCodes.digits(accessCode),
      mailboxAddress: toHex(await accessCodes.mailboxAddress(root, hex(organisation))),
      pairKey: toHex(await accessCodes.pairKey(root, hex(organisation))),
      request: (await accessCodes.mailboxRequest(root, [hex(organisation)])).map(({ token }) => toHex(token)),
    };
  },

  async characters() {
    return {
      unseen: where(hasUnseen),
      dividers: where((character) => divide(character).length === 0),
      digits: where((character) => /^[0-9]$/.test(asciiDigits(character))),
      values: where((character) => /^[1-9]$/.test(asciiDigits(character))).map((code) =>
        Number(asciiDigits(String.fromCodePoint(code))),
      ),
      letters: where((character) => /^[a-zа-я]*$/.test(fold(character))),
      folded: where((character) => /^[a-zа-я]*$/.test(fold(character)))
        .map((code) => fold(String.fromCodePoint(code)))
        .join(" "),
    };
  },

  async manifest({ file, day }) {
    const manifest = await parseManifest(base64(file));
    check(manifest, parseDay(day));
    return {
      file: toBase64(encodeManifest(manifest)),
      id: toHex(manifest.id),
      key: toHex(currentKey(manifest, parseDay(day)).id),
    };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer: Request;
  try {
    answer = (await operations[request["operation"]]?.(request)) ?? {};
  } catch (error) {
    answer = { error: codeOf(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
