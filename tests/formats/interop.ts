// The client under Node, for tests/formats/test_interop.py: one request a line on standard input, one answer a line on
// standard output.

import { createInterface } from "node:readline";
import { codeOf } from "../../client/src/errors.js";
import * as accessCodes from "../../client/src/formats/access_code.js";
import { type Bytes, concat, fromBase64, fromHex, toBase64, toHex } from "../../client/src/formats/base/bytes.js";
import { parse as parseDay } from "../../client/src/formats/base/days.js";
import { PART_SIZE } from "../../client/src/formats/base/limits.js";
import { envelopeId, seal } from "../../client/src/formats/envelopes/envelope.js";
import { check, currentKey, parse as parseManifest } from "../../client/src/formats/manifest.js";
import { BodyReader } from "../../client/src/worker/files.js";
import { encodeManifest } from "../../client/test/formats/encoders.js";
import { open, readEnvelope } from "../../client/test/formats/envelopes/envelope_opening.js";

// biome-ignore lint/suspicious/noExplicitAny: requests are what test_interop.py writes
type Request = Record<string, any>;

const base64 = (text: string): Bytes => fromBase64(text) ?? new Uint8Array(0);
const hex = (text: string): Bytes => fromHex(text) ?? new Uint8Array(0);

const operations: Record<string, (request: Request) => Promise<Request>> = {
  async seal({ recipients, message, files, kind, language, mailbox, replyKey, run }) {
    const contents: Blob[] = files.map((file: Request) => new Blob([base64(file["data"])]));
    const letter = {
      message: base64(message),
      files: files.map(({ name, type }: Request, i: number) => ({ name, type, size: contents[i]?.size })),
      id: crypto.getRandomValues(new Uint8Array(16)),
      kind,
      language,
      mailbox: base64(mailbox),
      replyKey: base64(replyKey),
    };
    const to = recipients.map((one: Request) => ({
      organisation: hex(one["organisation"]),
      key: hex(one["key"]),
      publicKey: base64(one["publicKey"]),
      pairKey: one["pairKey"] === null ? null : hex(one["pairKey"]),
    }));
    const sealed = await seal(to, letter);
    const reader = new BodyReader(contents, sealed.bodySize);
    const parts: Bytes[] = [];
    // As the worker does it: several parts at a time.
    while (sealed.body.next < sealed.body.parts) parts.push(await sealed.body.seal(await reader.read(run * PART_SIZE)));
    const envelope = concat(sealed.header, sealed.letter, ...parts);
    return { envelope: toBase64(envelope), id: toHex(await envelopeId(readEnvelope(envelope))) };
  },

  async open({ envelope, organisation, seed }) {
    const bytes = base64(envelope);
    const { letter, pairKey, files } = await open(bytes, hex(organisation), () => hex(seed));
    return {
      message: toBase64(letter.message),
      files: letter.files.map(({ name, type, size }, i) => ({
        name,
        type,
        size,
        data: toBase64(files[i] ?? new Uint8Array(0)),
      })),
      kind: letter.kind,
      language: letter.language,
      mailbox: toBase64(letter.mailbox),
      replyKey: toBase64(letter.replyKey),
      pairKey: toHex(pairKey),
      id: toHex(await envelopeId(readEnvelope(bytes))),
    };
  },

  async passphrase({ digits, organisation }) {
    const accessCode = digits === null ? await accessCodes.generate() : await accessCodes.parse(digits);
    const { root, mailboxAddress, replyPublic } = await accessCodes.secrets(accessCode);
    return {
      digits: accessCodes.digits(accessCode),
      mailboxAddress: toHex(mailboxAddress),
      replyPublic: toBase64(replyPublic),
      pairKey: toHex(await accessCodes.pairKey(root, hex(organisation))),
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
