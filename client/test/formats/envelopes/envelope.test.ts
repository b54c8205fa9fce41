import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type Bytes, concat, equal, toHex, utf8 } from "../../../src/formats/base/bytes.js";
import { today } from "../../../src/formats/base/days.js";
import { HEADER_FIXED, PART_SIZE, SEALED_PART_SIZE, SLOT_SIZE } from "../../../src/formats/base/limits.js";
import { padme } from "../../../src/formats/base/padding.js";
import { random, sha256 } from "../../../src/formats/base/primitives.js";
import { BodySealer, partNonce } from "../../../src/formats/envelopes/body.js";
import { envelopeId, type Recipient, seal } from "../../../src/formats/envelopes/envelope.js";
import { encodeHeader, headerSize, openSlot, parseHeader } from "../../../src/formats/envelopes/header.js";
import {
  checkSendable,
  encodeLetter,
  type FileEntry,
  type Letter,
  parseLetter,
  sealLetter,
} from "../../../src/formats/envelopes/letter.js";
import { currentKey } from "../../../src/formats/manifest.js";
import { BodyReader } from "../../../src/worker/files.js";
import { contentOf, flip, makeOrganisation, type TestOrganisation } from "../../support/tools.js";
import { open, readEnvelope } from "./envelope_opening.js";

const MESSAGE = utf8("Свидетельство: я видел это сам.\n");
let organisations: TestOrganisation[];
let fidh: TestOrganisation;

beforeAll(async () => {
  organisations = await Promise.all(["fidh", "kibhr", "ili"].map((name) => makeOrganisation(name)));
  [fidh] = organisations as [TestOrganisation];
});

function recipient({ manifest }: TestOrganisation, chosen: boolean): Recipient {
  const { id: key, publicKey } = currentKey(manifest, today());
  return { organisation: manifest.id, key, publicKey, pairKey: chosen ? random(32) : null };
}

function letter(message: Bytes, files: readonly FileEntry[] = []): Omit<Letter, "bodyKey"> {
  return { message, files, id: random(16), kind: "tip", language: "ru", mailbox: random(32), replyKey: random(1216) };
}

interface Made {
  readonly bytes: Bytes;
  readonly header: Bytes;
  readonly letter: Bytes;
  readonly parts: readonly Bytes[];
  readonly recipients: readonly Recipient[];
}

async function make(contents: readonly Bytes[], chosen: readonly boolean[] = [true, true, true]): Promise<Made> {
  const files = contents.map((bytes, i) => ({ name: `файл ${i}.jpg`, size: bytes.length, type: "image/jpeg" }));
  const recipients = organisations.map((organisation, i) => recipient(organisation, chosen[i] ?? false));
  const sealed = await seal(recipients, letter(MESSAGE, files));
  const reader = new BodyReader(
    contents.map((bytes) => new Blob([bytes])),
    sealed.bodySize,
  );
  const parts: Bytes[] = [];
  while (sealed.body.next < sealed.body.parts) parts.push(await sealed.body.seal(await reader.read(PART_SIZE)));
  return {
    bytes: concat(sealed.header, sealed.letter, ...parts),
    header: sealed.header,
    letter: sealed.letter,
    parts,
    recipients,
  };
}

function openAs(organisation: TestOrganisation, bytes: Bytes): ReturnType<typeof open> {
  return open(bytes, organisation.manifest.id, organisation.findKey);
}

describe("Envelope", () => {
  it.each([
    ["no file", []],
    ["an empty file", [0]],
    ["one byte", [1]],
    ["one whole part", [PART_SIZE]],
    ["three parts and a bit, in four files", [3, 0, PART_SIZE, 2 * PART_SIZE]],
  ])("opens to what was sealed: %s", async (_, sizes) => {
    const contents = sizes.map(contentOf);
    const made = await make(contents);
    for (const [i, organisation] of organisations.entries()) {
      const opened = await openAs(organisation, made.bytes);

      expect(opened.letter.message).toEqual(MESSAGE);
      expect(opened.letter.files.map(({ name, size }) => [name, size])).toEqual(
        sizes.map((size, at) => [`файл ${at}.jpg`, size]),
      );
      expect(opened.files.every((file, at) => equal(file, contents[at] ?? MESSAGE))).toBe(true);
      expect(opened.pairKey).toEqual(made.recipients[i]?.pairKey);
    }
  });

  it("opens for those chosen only, in all seven ways, and looks the same in each", async () => {
    for (let ways = 1; ways < 8; ways++) {
      const chosen = [0, 1, 2].map((bit) => (ways & (1 << bit)) !== 0);
      const made = await make([], chosen);

      expect(made.bytes.length).toBe(HEADER_FIXED + 3 * SLOT_SIZE + 8192 + 16);
      for (const [i, organisation] of organisations.entries()) {
        if (chosen[i]) expect((await openAs(organisation, made.bytes)).letter.message).toEqual(MESSAGE);
        else await expect(openAs(organisation, made.bytes)).rejects.toThrow("not-for-you");
      }
    }
  });

  it("tells apart who cannot open it, and why", async () => {
    const made = await make([]);
    const stranger = await makeOrganisation("stranger");
    const fidhId = fidh.manifest.id;

    await expect(open(made.bytes, stranger.manifest.id, fidh.findKey)).rejects.toThrow("not-addressed");
    await expect(open(made.bytes, fidhId, stranger.findKey)).rejects.toThrow("unknown-key");
    await expect(open(made.bytes, fidhId, () => "too-late")).rejects.toThrow("too-late");
    await expect(open(made.bytes, fidhId, () => random(32))).rejects.toThrow("tampered");
  });

  it("opens for nobody when any byte of header or letter is changed", async () => {
    const made = await make([random(10)]);
    const end = made.header.length + made.letter.length;
    const offsets = [
      ...new Array(HEADER_FIXED).keys(),
      ...Array.from({ length: 60 }, (_, i) => HEADER_FIXED + i * 191),
    ];
    for (const offset of offsets.filter((at) => at < end)) {
      for (const organisation of organisations) {
        await expect(openAs(organisation, flip(made.bytes, offset))).rejects.toThrow(
          /not-tipbox|version|limit|malformed|truncated|not-addressed|unknown-key|not-for-you|tampered|incomplete|trailing/,
        );
      }
    }
  });

  it("finds parts that are cut, swapped, repeated, changed, or of another Envelope", async () => {
    const contents = [contentOf(3 * PART_SIZE + 5)];
    const made = await make(contents);
    const other = await make(contents);
    const front = concat(made.header, made.letter);
    const [one, two, three, ...rest] = made.parts as [Bytes, Bytes, Bytes, Bytes];
    const opened = (...parts: readonly Bytes[]): ReturnType<typeof open> => openAs(fidh, concat(front, ...parts));

    expect((await opened(one, two, three, ...rest)).files).toEqual(contents);
    await expect(opened(two, one, three, ...rest)).rejects.toThrow("tampered");
    await expect(opened(one, one, three, ...rest)).rejects.toThrow("tampered");
    await expect(opened(one, two, three)).rejects.toThrow("incomplete");
    await expect(opened()).rejects.toThrow("incomplete");
    await expect(opened(one, two, three, ...rest, Uint8Array.of(0))).rejects.toThrow("trailing");
    await expect(opened(one, two, other.parts[2] ?? one, ...rest)).rejects.toThrow("tampered");
    await expect(opened(...other.parts)).rejects.toThrow("tampered");
    await expect(opened(one, flip(two, 9), three, ...rest)).rejects.toThrow("tampered");
    await expect(openAs(fidh, concat(made.header, other.letter, ...made.parts))).rejects.toThrow("tampered");
    await expect(openAs(fidh, made.bytes.slice(0, made.header.length + 100))).rejects.toThrow("truncated");
    await expect(openAs(fidh, made.bytes.slice(0, 50))).rejects.toThrow("truncated");
  });

  it("has one id, whoever computes it", async () => {
    const made = await make([contentOf(PART_SIZE + 1)]);
    const hashes = await Promise.all(made.parts.map((part) => sha256(part)));

    expect(await envelopeId(readEnvelope(made.bytes))).toEqual(await sha256(made.header, made.letter, ...hashes));
  });

  it("is not made without a recipient, without content, or beyond the limits", async () => {
    const [first, second] = organisations.map((organisation) => recipient(organisation, false));
    if (first === undefined || second === undefined) throw new Error("three were made");
    const chosen = { ...first, pairKey: random(32) };

    await expect(seal([], letter(MESSAGE))).rejects.toThrow("limit");
    await expect(seal([first, second], letter(MESSAGE))).rejects.toThrow("malformed");
    await expect(seal([chosen], letter(utf8("")))).rejects.toThrow("malformed");
    await expect(seal([chosen], letter(new Uint8Array(1_000_001)))).rejects.toThrow("limit");
  });
});

describe("header", () => {
  it("reads and writes itself", async () => {
    const { header } = await make([random(100)]);

    expect(headerSize(header)).toBe(header.length);
    expect(encodeHeader(parseHeader(header))).toEqual(header);
  });

  it("holds sizes above 4 GiB", async () => {
    const { header } = await make([]);
    for (const size of [2 ** 32, padme(5 * 2 ** 30 + 1), 2 ** 40]) {
      const large = encodeHeader({ ...parseHeader(header), bodySize: size });

      expect(parseHeader(large).bodySize).toBe(size);
      expect(encodeHeader(parseHeader(large))).toEqual(large);
    }
  });

  it("rejects random bytes, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4000 }), fc.boolean(), (bytes, withMagic) => {
        const input = concat(
          withMagic ? Uint8Array.of(0x89, 0x74, 0x69, 0x70, 0x62, 0x6f, 0x78, 0x0a, 1, 1) : utf8(""),
          bytes,
        );
        expect(() => parseHeader(input)).toThrow(/^(?:not-tipbox|truncated|trailing|version|limit|malformed)$/);
      }),
    );
  });

  it.each<[string, (header: Bytes) => void, string]>([
    ["another version", (header) => header.fill(2, 8, 9), "version"],
    ["no slot", (header) => header.fill(0, 9, 10), "limit"],
    ["33 slots", (header) => header.fill(33, 9, 10), "limit"],
    ["reserved bytes", (header) => header.fill(1, 11, 12), "malformed"],
    ["a letter size between two buckets", (header) => header.fill(1, 15, 16), "malformed"],
    ["a letter that is too large", (header) => header.fill(0x7f, 12, 13), "limit"],
    ["a body above 2^40", (header) => header.set([0, 0, 1, 0, 0, 0, 0, 1], 16), "limit"],
    ["a body of 2^64 - 1", (header) => header.fill(0xff, 16, 24), "limit"],
    ["a body size that Padmé cannot give", (header) => header.set([0, 0, 0, 0, 0, 0, 0, 101], 16), "malformed"],
    [
      "two slots of one organisation",
      (header) => header.copyWithin(HEADER_FIXED, HEADER_FIXED + SLOT_SIZE, HEADER_FIXED + 2 * SLOT_SIZE),
      "malformed",
    ],
    ["slots out of order", (header) => header.fill(0xff, HEADER_FIXED, HEADER_FIXED + 16), "malformed"],
  ])("rejects %s", async (_, change, code) => {
    const { header } = await make([]);
    change(header);

    expect(() => parseHeader(header)).toThrow(new RegExp(`^${code}$`));
  });

  it("compares the commitment before it uses the content key", async () => {
    const { header } = await make([], [true, false, false]);
    const parsed = parseHeader(header);

    await expect(
      openSlot(parsed, organisations[1]?.manifest.id ?? MESSAGE, organisations[1]?.findKey ?? (() => "unknown-key")),
    ).rejects.toThrow("not-for-you");
  });
});

describe("letter", () => {
  const whole: Letter = {
    ...letter(MESSAGE, [{ name: "../‮\u001b[31mй.jpg", size: 4_294_967_297, type: "" }]),
    bodyKey: random(32),
  };

  it("reads and writes itself, reserved members too", () => {
    const reserved = { ...whole, reserved: { consent: { public: false }, sections: ["AA=="] } };

    expect(parseLetter(encodeLetter(whole))).toEqual(whole);
    expect(parseLetter(encodeLetter(reserved))).toEqual(reserved);
    expect(encodeLetter(whole).length).toBe(8192);
  });

  it("holds a thousand files with names of 255 bytes and a million bytes of text", () => {
    const files = Array.from({ length: 1000 }, (_, i) => ({
      name: `${i}`.padStart(5, "0") + "я".repeat(125),
      size: i,
      type: "video/mp4",
    }));
    const message = new Uint8Array(1_000_000).fill(97);
    const large: Letter = { ...whole, files, message };

    expect(parseLetter(encodeLetter(large))).toEqual(large);
    expect(() => checkSendable(message, files)).not.toThrow();
    expect(() => checkSendable(message, [...files, { name: "a", size: 0, type: "" }])).toThrow("limit");
    expect(() => checkSendable(message, [{ name: "я".repeat(128), size: 0, type: "" }])).toThrow("limit");
    expect(() => checkSendable(message, [{ name: "a", size: 2 ** 41, type: "" }])).toThrow("limit");
  });

  it("never throws anything but its own errors on random plaintext", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 300 }), (bytes) => {
        const plaintext = concat(bytes, new Uint8Array(8192 - bytes.length));
        expect(() => parseLetter(plaintext)).toThrow(/^(?:malformed|limit)$/);
      }),
    );
  });

  it.each<[string, (plaintext: Bytes) => Bytes, string]>([
    ["padding that is not zero", (plaintext) => flip(plaintext, plaintext.length - 1), "malformed"],
    ["more padding than it needs", (plaintext) => concat(plaintext, new Uint8Array(20_480 - 8192)), "malformed"],
    ["no padding", (plaintext) => plaintext.slice(0, 5000), "malformed"],
    ["a length that runs past it", (plaintext) => concat(Uint8Array.of(0, 1, 0, 0), plaintext.slice(4)), "malformed"],
    ["a length above the limit", (plaintext) => concat(Uint8Array.of(1, 0, 0, 0), plaintext.slice(4)), "limit"],
    ["nothing", () => new Uint8Array(0), "malformed"],
  ])("rejects %s", (_, change, code) => {
    expect(() => parseLetter(change(encodeLetter(whole)))).toThrow(new RegExp(`^${code}$`));
  });

  it.each<[string, Partial<Letter>, string]>([
    ["a name of nothing", { files: [{ name: "", size: 0, type: "" }] }, "limit"],
    ["a name with a zero", { files: [{ name: "a\0b", size: 0, type: "" }] }, "malformed"],
    ["a size below zero", { files: [{ name: "a", size: -1, type: "" }] }, "malformed"],
    ["a type that is not ASCII", { files: [{ name: "a", size: 1, type: "é" }] }, "malformed"],
    ["a mailbox without a reply key", { replyKey: new Uint8Array(0) }, "malformed"],
    ["a body key of another size", { bodyKey: random(31) }, "malformed"],
    ["a language that is none", { language: "r" }, "malformed"],
  ])("rejects %s", (_, changes, code) => {
    expect(() => parseLetter(encodeLetter({ ...whole, ...changes }))).toThrow(new RegExp(`^${code}$`));
  });

  it("is refused when its body key or its sizes are not what the header says", async () => {
    const made = await make([random(100)]);
    const reading = readEnvelope(made.bytes);
    const headerHash = await sha256(made.header);
    const { contentKey, letter: real } = await openAs(fidh, made.bytes);
    const swap = async (changes: Partial<Letter>): Promise<Bytes> =>
      concat(
        made.header,
        await sealLetter(headerHash, contentKey, encodeLetter({ ...real, ...changes })),
        reading.parts,
      );

    await expect(openAs(fidh, await swap({ bodyKey: random(32) }))).rejects.toThrow(/^commitment$/);
    await expect(openAs(fidh, await swap({ files: [] }))).rejects.toThrow(/^malformed$/);
    expect((await openAs(fidh, await swap({}))).letter).toEqual(real);
  });
});

describe("body", () => {
  it("numbers its parts and marks the last", () => {
    expect(toHex(partNonce(0, false))).toBe("000000000000000000000000");
    expect(toHex(partNonce(2 ** 24 - 1, true))).toBe("0000000000000000ffffff01");
  });

  it("never goes back to a counter, and never past the end", async () => {
    const sealer = await BodySealer.create(random(32), random(32), PART_SIZE + 8);
    const part = new Uint8Array(PART_SIZE);
    const first = await sealer.seal(part);

    expect(first.length).toBe(SEALED_PART_SIZE);
    expect(sealer.next).toBe(1);
    expect(() => sealer.seal(concat(part, part))).toThrow("internal");
    await sealer.seal(new Uint8Array(8));
    expect(() => sealer.seal(part)).toThrow("internal");
  });

  it("has padding of zeros only", async () => {
    const sealed = await seal([recipient(fidh, true)], letter(MESSAGE, [{ name: "a", size: 1023, type: "" }]));
    const plaintext = new Uint8Array(sealed.bodySize).fill(1);
    const parts = await sealed.body.seal(plaintext);

    expect(sealed.bodySize).toBeGreaterThan(1023);
    await expect(openAs(fidh, concat(sealed.header, sealed.letter, parts))).rejects.toThrow(/^malformed$/);
  });
});
