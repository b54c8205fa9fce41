// The vectors of tests/vectors (see the README there), all but those that are for Python alone: every case, its one
// outcome, and what was read encoded again to the same bytes.

import { createCipheriv } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Code, codeOf, demand, FORMAT_CODES } from "../../src/errors.js";
import * as accessCodes from "../../src/formats/access_code.js";
import { encodeAnswerPiece, parseAnswerPiece } from "../../src/formats/answer_piece.js";
import { type Bytes, concat, equal, fromBase64, fromUtf8, toBase64, toHex } from "../../src/formats/base/bytes.js";
import { decode, encode, type Form } from "../../src/formats/base/canonical.js";
import { format as formatDay, parse as parseDay } from "../../src/formats/base/days.js";
import { keyId, organisationId } from "../../src/formats/base/ids.js";
import {
  CAPSULE_PLACES,
  ENVELOPE_PART_SIZE,
  HASH_SIZE,
  SALT_SIZE,
  SESSION_NONCE_SIZE,
} from "../../src/formats/base/limits.js";
import { letterSize, padme, partsOf, sealedBodySize } from "../../src/formats/base/padding.js";
import { aesKey, seal, sha256 } from "../../src/formats/base/primitives.js";
import { BodySealer } from "../../src/formats/envelopes/body.js";
import { checkOpening, openCapsule, sealCapsule } from "../../src/formats/envelopes/capsule.js";
import { encodeHeader } from "../../src/formats/envelopes/header.js";
import { encodeLetter, type Letter, sealLetter } from "../../src/formats/envelopes/letter.js";
import { encodePieceHead, familyOf } from "../../src/formats/envelopes/pieces.js";
import { encodeQrCode, toQrCodes } from "../../src/formats/envelopes/qr_codes.js";
import { parseList } from "../../src/formats/mailbox_list.js";
import * as keys from "../../src/formats/manifest.js";
import * as notices from "../../src/formats/notice.js";
import { encodeProof, Puzzles, parseProof } from "../../src/formats/toll.js";
import { wordLists } from "../support/tools.js";
import { encodeAcknowledgement, encodeReport, parseReport, readAcknowledgement } from "./acknowledgement.js";
import { Bundle, encodeBundleHeader, encodeIndex, sealedSize, volumeClass } from "./bundle.js";
import { serverId, threadId } from "./derivations.js";
import { encodeList, encodeManifest } from "./encoders.js";
import { findKey, hex, type Members, metaOf, readReply, readTip, text } from "./envelopes/case_reading.js";
import type { WholeEnvelope } from "./envelopes/envelope_opening.js";
import { readPiece } from "./envelopes/piece_reading.js";
import { readQrCode } from "./envelopes/qr_reading.js";
import { replyContentKey } from "./envelopes/reply_sealing.js";

const FOLDER = new URL("../../../tests/vectors/", import.meta.url);
const KINDS = [
  "canonical",
  "padding",
  "passphrase",
  "derivations",
  "toll",
  "manifest",
  "notice",
  "envelope",
  "reply",
  "piece",
  "qr-code",
  "qr-set",
  "capsule",
  "acknowledgement",
  "report",
  "bundle",
  "mailbox",
  "answer",
] as const;
/** What only servers read; and locked files, which need Argon2id and XChaCha20-Poly1305, which WebCrypto lacks. */
const OF_PYTHON = ["backup", "locked", "request", "request-file"];

type Kind = (typeof KINDS)[number];
interface Case {
  readonly name: string;
  readonly kind: string;
  readonly expect: "ok" | Code;
  readonly input: Members;
  readonly output?: Members;
}

function base64(value: unknown): Bytes {
  const bytes = fromBase64(text(value));
  if (bytes === null) throw new Error("the vector has bad base64");
  return bytes;
}

/** Header, letter and parts, sealed again under the same keys and session nonces. */
async function sealedAgain(
  { header, headerHash, parts, trailer }: WholeEnvelope,
  letter: Letter,
  contentKey: Bytes,
  files: readonly Bytes[],
): Promise<Bytes> {
  const plaintext = concat(...files);
  const body = concat(plaintext, new Uint8Array(header.bodySize - plaintext.length));
  const sealer = await BodySealer.create(headerHash, letter.bodyKey, body.length);
  const again = parts.map(async (part, i) => {
    const session = await sealer.again(part.slice(0, SESSION_NONCE_SIZE));
    return (await session.seal(body)).slice(i * ENVELOPE_PART_SIZE, (i + 1) * ENVELOPE_PART_SIZE);
  });
  const sealedLetter = await sealLetter(headerHash, contentKey, encodeLetter(letter));
  return concat(encodeHeader(header), sealedLetter, ...(await Promise.all(again)), trailer);
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

/** The Envelope of a case: whole, or in pieces. */
async function envelopeOf(input: Members): Promise<Bytes> {
  return input["pieces"] === undefined ? base64(input["envelope"]) : expand(input["pieces"] as Piece[]);
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
      sealed_body: sizes.map(sealedBodySize),
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

  async toll(input) {
    const proof = parseProof(text(input["written"]));
    expect(encodeProof(proof)).toBe(text(input["written"]));
    const puzzles = await Puzzles.of(hex(input["seed"]), hex(input["token"]));
    const holds = await puzzles.hold(proof);
    if (holds) expect(await puzzles.solve(proof.effort, () => undefined)).toEqual(proof.nonces);
    return { ...proof, holds };
  },

  async derivations(input) {
    const root = await accessCodes.rootOf(hex(input["passphrase"]));
    const organisation = await organisationId(base64(input["identity"]));
    const pairKey = await accessCodes.pairKey(root, organisation);
    const decoys = [0, 31].map((number) => accessCodes.mailboxDecoy(root, organisation, number));
    return {
      root: toHex(root),
      mailbox_token: toHex(await accessCodes.mailboxToken(root, organisation)),
      mailbox_address: toHex(await accessCodes.mailboxAddress(root, organisation)),
      mailbox_decoys: (await Promise.all(decoys)).map(toHex),
      resume: toHex(await accessCodes.resumeSecret(root)),
      organisation: toHex(organisation),
      server_id: toHex(await serverId(base64(input["server"]))),
      key_id: toHex(await keyId(base64(input["public"]))),
      pair_key: toHex(pairKey),
      thread_id: toHex(await threadId(pairKey)),
    };
  },

  async notice(input) {
    const file = base64(input["file"]);
    const notice = await notices.parse(file);
    if (input["day"] !== undefined) notices.check(notice, parseDay(text(input["day"])));
    const { id, desk, from, until } = notice;
    const words = [...notice.text].sort(([one], [other]) => (one < other ? -1 : 1));
    return {
      desk: toBase64(desk),
      from: formatDay(from),
      id: toHex(id),
      until: formatDay(until),
      languages: words.map(([tag]) => tag),
      words: words.map(([, said]) => said),
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
    const bytes = await envelopeOf(input);
    const { opened, output } = await readTip(bytes, input);
    const again = await sealedAgain(opened.whole, opened.letter, opened.contentKey, opened.files);
    expect(equal(again, bytes)).toBe(true);
    return output;
  },

  async reply(input) {
    const bytes = await envelopeOf(input);
    const { opened, output } = await readReply(bytes, input);
    const contentKey = await replyContentKey(hex(input["pair_key"]), opened.whole.header.salt);
    const again = await sealedAgain(opened.whole, opened.letter, contentKey, opened.files);
    expect(equal(again, bytes)).toBe(true);
    return output;
  },

  async piece(input) {
    const bytes = await expand(input["pieces"] as Piece[]);
    const { head, headSize, parts } = await readPiece(bytes);
    expect(equal(await encodePieceHead(head), bytes.slice(0, headSize))).toBe(true);
    const told = parts.map(async ([index, part]) => ({
      index,
      sha256: part === null ? "" : toHex(await sha256(part)),
    }));
    return {
      token: toHex(head.token),
      number: head.number,
      count: head.count,
      parts_each: head.partsEach,
      family: toHex(await familyOf(head)),
      opening_sha256: toHex(await sha256(head.opening)),
      parts: await Promise.all(told),
      hash: toHex(head.end.slice(0, HASH_SIZE)),
      trailer: toHex(head.end.slice(HASH_SIZE)),
      damaged: parts.filter(([, part]) => part === null).map(([index]) => index),
    };
  },

  async "qr-code"(input) {
    const bytes = await expand(input["code"] as Piece[]);
    const { head, block } = await readQrCode(bytes);
    expect(equal(await encodeQrCode(head, block), bytes)).toBe(true);
    const { ident, ...numbers } = head;
    return { ...numbers, set: toHex(ident), sha256: toHex(await sha256(block)) };
  },

  async "qr-set"(input) {
    const codes = await toQrCodes(await expand(input["envelope"] as Piece[]));
    return { codes: await Promise.all(codes.map(async (code) => toHex(await sha256(code)))) };
  },

  async capsule(input) {
    const root = await accessCodes.rootOf(hex(input["passphrase"]));
    const resume = await accessCodes.resumeSecret(root);
    const sealed = base64(input["capsule"]);
    const capsule = await openCapsule(sealed, resume);
    expect(equal(await sealCapsule(capsule, resume, sealed.slice(0, SALT_SIZE)), sealed)).toBe(true);
    const opening = base64(input["opening"]);
    const { headerBytes, sealedLetter, letter } = await checkOpening(capsule, opening);
    expect(equal(concat(headerBytes, sealedLetter), opening)).toBe(true);
    const numbers = Array.from({ length: CAPSULE_PLACES }, (_, number) => number);
    const places = await Promise.all(numbers.map((number) => accessCodes.placeToken(resume, number)));
    return {
      places: places.map(toHex),
      addresses: (await Promise.all(places.map((place) => sha256(place)))).map(toHex),
      token: toHex(capsule.token),
      header_hash: toHex(capsule.headerHash),
      letter_hash: toHex(capsule.letterHash),
      content_key: toHex(capsule.contentKey),
      secrets: capsule.sealSecrets.map((secret) => toHex(secret ?? new Uint8Array(0))),
      meta: metaOf(letter),
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
    return decode(data) as Members;
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

  async answer(input) {
    const file = await expand(input["pieces"] as Piece[]);
    const piece = parseAnswerPiece(file);
    expect(equal(encodeAnswerPiece(piece), file)).toBe(true);
    return { reply: toHex(piece.reply), number: piece.number, sha256: toHex(await sha256(piece.data)) };
  },

  async mailbox(input) {
    const data = await expand(input["pieces"] as Piece[]);
    const list = parseList(data);
    expect(equal(encodeList(list), data)).toBe(true); // toEqual takes seconds for so many bytes
    const entries = list.entries.map(({ id, day, size, openingSize, place }) => ({
      id: toHex(id),
      day,
      size,
      opening_size: openingSize,
      place,
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
