// The vectors of tests/vectors (see the README there), all but those of locked files and backups: every case, its one
// outcome, and what was read encoded again to the same bytes.

import { createCipheriv } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Code, codeOf, demand, FORMAT_CODES } from "../../src/errors.js";
import * as accessCodes from "../../src/formats/access_code.js";
import {
  type Bytes,
  concat,
  equal,
  fromBase64,
  fromHex,
  fromUtf8,
  toBase64,
  toHex,
  utf8,
} from "../../src/formats/base/bytes.js";
import { decode, encode, type Form } from "../../src/formats/base/canonical.js";
import { parse as parseDay } from "../../src/formats/base/days.js";
import { letterSize, padme, partsOf, sealedSize } from "../../src/formats/base/padding.js";
import { aesKey, seal, sha256 } from "../../src/formats/base/primitives.js";
import { BodySealer } from "../../src/formats/envelopes/body.js";
import { envelopeId } from "../../src/formats/envelopes/envelope.js";
import { encodeHeader, type FindKey } from "../../src/formats/envelopes/header.js";
import { encodeLetter, sealLetter } from "../../src/formats/envelopes/letter.js";
import { openReply } from "../../src/formats/envelopes/reply.js";
import { parseList } from "../../src/formats/mailbox_list.js";
import * as keys from "../../src/formats/manifest.js";
import { wordLists } from "../support/tools.js";
import { encodeAcknowledgement, encodeReport, parseReport, readAcknowledgement } from "./acknowledgement.js";
import { Bundle, encodeBundleHeader, encodeIndex, volumeClass } from "./bundle.js";
import { resumeSecret, serverId, threadId } from "./derivations.js";
import { encodeList, encodeManifest } from "./encoders.js";
import { open, openBody, readEnvelope, splitFiles } from "./envelopes/envelope_opening.js";

const FOLDER = new URL("../../../tests/vectors/", import.meta.url);
const KINDS = [
  "canonical",
  "padding",
  "passphrase",
  "derivations",
  "manifest",
  "envelope",
  "reply",
  "acknowledgement",
  "report",
  "bundle",
  "mailbox",
] as const;
/** Locked files need Argon2id and XChaCha20-Poly1305, which WebCrypto lacks. */
const OF_PYTHON = ["backup", "locked"];

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

const stretched = new Map<string, Promise<accessCodes.Secrets>>();

/** The secrets of an access code; stretching takes a while. */
function secretsOf(accessCode: string): Promise<accessCodes.Secrets> {
  const made = stretched.get(accessCode) ?? accessCodes.secrets(hex(accessCode));
  stretched.set(accessCode, made);
  return made;
}

type Piece =
  | { readonly base64: string }
  | { readonly zeros: number }
  | { readonly gcm: string; readonly nonce: string; readonly plain: readonly Piece[] }
  | { readonly ctr: string; readonly size: number };

async function expand(pieces: readonly Piece[]): Promise<Bytes> {
  const expanded = pieces.map(async (piece) => {
    if ("zeros" in piece) return new Uint8Array(piece.zeros);
    if ("gcm" in piece) return seal(await aesKey(hex(piece.gcm)), hex(piece.nonce), await expand(piece.plain));
    if ("ctr" in piece)
      return createCipheriv("aes-256-ctr", hex(piece.ctr), new Uint8Array(16)).update(new Uint8Array(piece.size));
    return base64(piece.base64);
  });
  return concat(...(await Promise.all(expanded)));
}

/** The file of a Bundle's case. */
async function bundleFile(input: Members): Promise<Bytes> {
  const file = await expand(input["pieces"] as Piece[]);
  for (const offset of (input["flip"] ?? []) as number[]) file[offset] = (file[offset] ?? 0) ^ 1;
  return file.slice(0, input["size"] as number | undefined);
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
    return {
      padme: sizes.map(padme),
      letter: sizes.map(letterSize),
      parts: sizes.map(partsOf),
      sealed: sizes.map(sealedSize),
      volume: sizes.map(volumeClass),
    };
  },

  async passphrase(input) {
    const lists = await wordLists();
    const accessCode = await accessCodes.parse(text(input["text"]), lists);
    const digits = accessCodes.digits(accessCode);
    const words = Object.fromEntries(lists.map((list) => [list.name, accessCodes.words(accessCode, list).join(" ")]));
    for (const again of [digits, ...Object.values(words)])
      expect(await accessCodes.parse(again, lists)).toEqual(accessCode);
    return { passphrase: toHex(accessCode), digits, words };
  },

  async derivations(input) {
    const derived = await accessCodes.secrets(hex(input["passphrase"]));
    const organisation = await keys.organisationId(base64(input["identity"]));
    const pairKey = await accessCodes.pairKey(derived.root, organisation);
    return {
      root: toHex(derived.root),
      mailbox_token: toHex(derived.mailboxToken),
      mailbox_address: toHex(derived.mailboxAddress),
      reply_seed: toHex(derived.replySeed),
      reply_public: toBase64(derived.replyPublic),
      resume: toHex(await resumeSecret(derived.root)),
      organisation: toHex(organisation),
      server_id: toHex(await serverId(base64(input["server"]))),
      key_id: toHex(await keys.keyId(base64(input["public"]))),
      pair_key: toHex(pairKey),
      thread_id: toHex(await threadId(pairKey)),
      check_digits: await accessCodes.checkDigits(pairKey, hex(input["header_hash"])),
    };
  },

  async manifest(input) {
    const file = base64(input["file"]);
    const manifest = await keys.parse(file);
    const day = input["day"] === undefined ? null : parseDay(input["day"]);
    if (day !== null) keys.check(manifest, day);
    if (input["holds"] !== undefined) keys.checkReplaces(manifest, await keys.parse(base64(input["holds"])));
    const current = day === null ? {} : { current_key: toHex(keys.currentKey(manifest, day).id) };
    expect(encodeManifest(manifest)).toEqual(file);
    const { id, serial, organisation, name } = manifest;
    return {
      id: toHex(id),
      serial: [...serial],
      organisation,
      name,
      keys: manifest.keys.map((key) => toHex(key.id)),
      ...current,
    };
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
    const sealed = await again.seal(concat(body, new Uint8Array(reading.header.bodySize - body.length)));
    const header = encodeHeader(reading.header);
    expect(toHex(await sha256(header, await sealLetter(headerHash, opened.contentKey, plaintext), sealed))).toBe(
      toHex(await sha256(bytes)),
    );

    const metaSize = new DataView(plaintext.buffer).getUint32(0);
    return {
      id: toHex(await envelopeId(reading)),
      header_hash: toHex(headerHash),
      content_key: toHex(opened.contentKey),
      pair_key: toHex(opened.pairKey),
      thread_id: toHex(await threadId(opened.pairKey)),
      check_digits: await accessCodes.checkDigits(opened.pairKey, headerHash),
      meta: fromUtf8(plaintext.slice(4, 4 + metaSize)),
      message_sha256: toHex(await sha256(letter.message)),
      files: await Promise.all(
        letter.files.map(async (file, i) => ({ ...file, sha256: toHex(await sha256(opened.files[i] ?? utf8(""))) })),
      ),
      parts: partsOf(reading.header.bodySize),
    };
  },

  async reply(input) {
    const reading = readEnvelope(base64(input["envelope"]));
    const organisations = (input["organisations"] as string[]).map(hex);
    const { organisation, letter, headerHash } = await openReply(
      reading,
      await secretsOf(text(input["passphrase"])),
      organisations,
    );
    const pieces: Bytes[] = [];
    for await (const piece of openBody(headerHash, letter.bodyKey, reading.header.bodySize, reading.parts))
      pieces.push(piece);
    const contents = splitFiles(concat(...pieces), letter.files);
    return {
      id: toHex(await envelopeId(reading)),
      organisation: organisation === null ? "" : toHex(organisation),
      message_sha256: toHex(await sha256(letter.message)),
      files: await Promise.all(
        letter.files.map(async ({ name, size, type }, i) => ({
          name,
          size,
          type,
          sha256: toHex(await sha256(contents[i] ?? new Uint8Array())),
        })),
      ),
    };
  },

  async acknowledgement(input) {
    const data = base64(input["data"]);
    const acknowledgement = await readAcknowledgement(data, hex(input["desk"]));
    expect(encodeAcknowledgement(acknowledgement)).toEqual(data);
    return { envelopes: acknowledgement.envelopes.map(toHex) };
  },

  async report(input) {
    const data = base64(input["data"]);
    const report = parseReport(data);
    expect(encodeReport(report)).toEqual(data);
    return { bundles: report.bundles, refused: report.refused.map(({ code, item }) => ({ code, item: toHex(item) })) };
  },

  async bundle(input) {
    const file = await bundleFile(input);
    const bundle = await Bundle.open(file, hex(input["reader"]), findKey(input));
    const { header, index } = bundle;
    // Who the sender is, the caller compares: so it is compared here.
    demand(
      equal(index.sender, hex(input["sender"])) && equal(index.serverKey, base64(input["server_key"])),
      "wrong-sender",
    );
    const encoded = encodeBundleHeader(header);
    expect(encoded).toEqual(file.slice(0, encoded.length));

    const items: Members[] = [];
    const damaged: number[] = [];
    for (const item of bundle.items) {
      try {
        const { kind, size, hash } = item.entry;
        items.push({ kind, size, hash: toHex(hash), sha256: toHex(await sha256(await bundle.read(item))) });
      } catch (error) {
        if (codeOf(error) !== "damaged-item") throw error;
        damaged.push(item.number);
      }
    }
    return {
      index: fromUtf8(encodeIndex(index)), // `output` has the bytes that were sealed
      index_damage: bundle.indexDamage,
      items,
      damaged,
      padding: await bundle.checkPadding(),
      sha256: toHex(await sha256(file)),
    };
  },

  async mailbox(input) {
    const data = await expand(input["pieces"] as Piece[]);
    const list = parseList(data);
    expect(encodeList(list)).toEqual(data);
    const entries = list.entries.map(({ id, day, size, openingSize }) => ({
      id: toHex(id),
      day,
      size,
      opening_size: openingSize,
    }));
    return { entries, openings: list.openings.map(toBase64) };
  },
};

/** What reading gave: Bundles with damaged items have both a code and an output. */
function outcomeOf(output: Members): { expect: string; output: Members } {
  const damaged = output["damaged"];
  return { expect: Array.isArray(damaged) && damaged.length > 0 ? "damaged-item" : "ok", output };
}

describe("vectors", () => {
  it("are of the known kinds", () => {
    const folders = readdirSync(FOLDER, { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && !entry.name.startsWith("__"),
    );

    expect(
      folders
        .map(({ name }) => name)
        .filter((name) => !OF_PYTHON.includes(name))
        .sort(),
    ).toEqual([...KINDS].sort());
  });

  describe.each(KINDS)("%s", (kind) => {
    const folder = new URL(`${kind}/`, FOLDER);
    const names = readdirSync(folder).map((file) => file.replace(/\.json$/, ""));

    it.each(names)("%s", async (name) => {
      const vector = JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")) as Case;
      const outcome = await READ[kind](vector.input).then(outcomeOf, (error: unknown) => {
        if (codeOf(error) === "internal") throw error;
        return { expect: codeOf(error), output: {} };
      });

      expect([vector.name, vector.kind]).toEqual([name, kind]);
      expect(["ok", ...FORMAT_CODES]).toContain(vector.expect);
      expect(outcome).toEqual({ expect: vector.expect, output: vector.output ?? {} });
    });
  });
});
