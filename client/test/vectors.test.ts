// The vectors of tests/vectors that both languages read (see the README there): every case, its one outcome, and each
// success encoded again to the same bytes.

import { readdirSync, readFileSync } from "node:fs";

import { describe, expect, it, vi } from "vitest";

import { BodySealer } from "../src/body.js";
import { type Bytes, concat, fromBase64, fromHex, fromUtf8, toBase64, toHex, utf8 } from "../src/bytes.js";
import { decode, encode, type Form } from "../src/canonical.js";
import { parse as parseDay } from "../src/days.js";
import { type Code, codeOf, FORMAT_CODES } from "../src/errors.js";
import { envelopeId, open, readEnvelope } from "../src/envelope.js";
import { encodeHeader, type FindKey } from "../src/header.js";
import * as keys from "../src/keys.js";
import { encodeLetter, sealLetter } from "../src/letter.js";
import { letterSize, padme, partsOf, sealedSize } from "../src/padding.js";
import * as passphrases from "../src/passphrase.js";
import { sha256 } from "../src/primitives.js";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 }); // on a machine that does other things besides

const FOLDER = new URL("../../tests/vectors/", import.meta.url);
const KINDS = ["canonical", "padding", "passphrase", "derivations", "manifest", "envelope"] as const;
/** Kinds of the server and the desk: no browser reads them. */
const OF_PYTHON = ["acknowledgement", "bundle", "locked", "report"];

type Kind = (typeof KINDS)[number];
type Members = Readonly<Record<string, unknown>>;

interface Case {
  readonly name: string;
  readonly kind: string;
  readonly expect: "ok" | Code;
  readonly input: Members;
  readonly output?: Members;
}

function text(value: unknown): string {
  if (typeof value !== "string") throw new Error("the vector lacks a text");
  return value;
}

function hex(value: unknown): Bytes {
  const bytes = fromHex(text(value));
  if (bytes === null) throw new Error("the vector has bad hex");
  return bytes;
}

function base64(value: unknown): Bytes {
  const bytes = fromBase64(text(value));
  if (bytes === null) throw new Error("the vector has bad base64");
  return bytes;
}

function findKey(input: Members): FindKey {
  const seeds = new Map((input["keys"] as { id: string; seed: string }[]).map(({ id, seed }) => [id, hex(seed)]));
  const destroyed = input["destroyed"] as string[];
  return (id) => seeds.get(toHex(id)) ?? (destroyed.includes(toHex(id)) ? "too-late" : "unknown-key");
}

/** Reads `input`; returns what must be the vector's `output`, and checks that encoding again gives the same bytes. */
const READ: Record<Kind, (input: Members) => Promise<Members>> = {
  async canonical(input) {
    const data = base64(input["data"]);
    const form = text(input["form"]) as Form;
    expect(encode(decode(data, form), form)).toEqual(data);
    return {};
  },

  async padding(input) {
    const sizes = input["sizes"] as number[];
    return { padme: sizes.map(padme), letter: sizes.map(letterSize), parts: sizes.map(partsOf), sealed: sizes.map(sealedSize) };
  },

  async passphrase(input) {
    const passphrase = await passphrases.parse(text(input["text"]));
    return { passphrase: toHex(passphrase), digits: passphrases.digits(passphrase) };
  },

  async derivations(input) {
    const derived = await passphrases.secrets(hex(input["passphrase"]));
    const organisation = await keys.organisationId(base64(input["identity"]));
    const pairKey = await passphrases.pairKey(derived.root, organisation);
    return {
      root: toHex(derived.root),
      mailbox_token: toHex(derived.mailboxToken),
      mailbox_address: toHex(derived.mailboxAddress),
      reply_seed: toHex(derived.replySeed),
      reply_public: toBase64(derived.replyPublic),
      resume: toHex(await passphrases.resumeSecret(derived.root)),
      organisation: toHex(organisation),
      server_id: toHex(await keys.serverId(base64(input["server"]))),
      key_id: toHex(await keys.keyId(base64(input["public"]))),
      pair_key: toHex(pairKey),
      thread_id: toHex(await passphrases.threadId(pairKey)),
      check_digits: await passphrases.checkDigits(pairKey, hex(input["header_hash"])),
    };
  },

  async manifest(input) {
    const file = base64(input["file"]);
    const manifest = await keys.parse(file);
    const day = input["day"] === undefined ? null : parseDay(input["day"]);
    if (day !== null) keys.check(manifest, day);
    if (input["holds"] !== undefined) keys.checkReplaces(manifest, await keys.parse(base64(input["holds"])));
    const current = day === null ? {} : { current_key: toHex(keys.currentKey(manifest, day).id) };
    expect(keys.encodeManifest(manifest)).toEqual(file);
    const { id, serial, organisation, name } = manifest;
    return { id: toHex(id), serial: [...serial], organisation, name, keys: manifest.keys.map((key) => toHex(key.id)), ...current };
  },

  async envelope(input) {
    const bytes = base64(input["envelope"]);
    const opened = await open(bytes, hex(input["organisation"]), findKey(input));
    const reading = readEnvelope(bytes);
    const headerHash = await sha256(reading.headerBytes);
    const { letter } = opened;

    const plaintext = encodeLetter(letter);
    const again = await BodySealer.create(headerHash, letter.bodyKey, reading.header.bodySize);
    const body = concat(...opened.files);
    const parts = await again.seal(concat(body, new Uint8Array(reading.header.bodySize - body.length)));
    const header = encodeHeader(reading.header);
    expect(toHex(await sha256(header, await sealLetter(headerHash, opened.contentKey, plaintext), ...parts))).toBe(toHex(await sha256(bytes)));

    const metaSize = new DataView(plaintext.buffer).getUint32(0);
    return {
      id: toHex(await envelopeId(reading)),
      header_hash: toHex(headerHash),
      content_key: toHex(opened.contentKey),
      pair_key: toHex(opened.pairKey),
      thread_id: toHex(await passphrases.threadId(opened.pairKey)),
      check_digits: await passphrases.checkDigits(opened.pairKey, headerHash),
      meta: fromUtf8(plaintext.slice(4, 4 + metaSize)),
      message_sha256: toHex(await sha256(letter.message)),
      files: await Promise.all(
        letter.files.map(async (file, i) => ({ ...file, sha256: toHex(await sha256(opened.files[i] ?? utf8(""))) })),
      ),
      parts: partsOf(reading.header.bodySize),
    };
  },
};

/** Members of outputs that no browser computes: the volume classes of Bundles. */
function comparable(output: Members | undefined): Members {
  const { volume: _, ...rest } = output ?? {};
  return rest;
}

describe("vectors", () => {
  it("are of the known kinds", () => {
    const folders = readdirSync(FOLDER, { withFileTypes: true }).filter((entry) => entry.isDirectory() && !entry.name.startsWith("__"));

    expect(folders.map(({ name }) => name).filter((name) => !OF_PYTHON.includes(name)).sort()).toEqual([...KINDS].sort());
  });

  describe.each(KINDS)("%s", (kind) => {
    const folder = new URL(`${kind}/`, FOLDER);
    const names = readdirSync(folder).map((file) => file.replace(/\.json$/, ""));

    it.each(names)("%s", async (name) => {
      const vector = JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")) as Case;
      const outcome = await READ[kind](vector.input).then(
        (output) => ({ expect: "ok", output }),
        (error: unknown) => {
          if (codeOf(error) === "internal") throw error;
          return { expect: codeOf(error), output: {} };
        },
      );

      expect([vector.name, vector.kind]).toEqual([name, kind]);
      expect(["ok", ...FORMAT_CODES]).toContain(vector.expect);
      expect(outcome).toEqual({ expect: vector.expect, output: comparable(vector.output) });
    });
  });
});
