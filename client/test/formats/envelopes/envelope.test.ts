import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type Bytes, concat, equal, isZero, toHex, uint, utf8 } from "../../../src/formats/base/bytes.js";
import { today } from "../../../src/formats/base/days.js";
import {
  ENVELOPE_PART_SIZE,
  HEADER_FIXED,
  PART_SIZE,
  SEAL_SIZE,
  SLOT_SIZE,
  TAG_SIZE,
} from "../../../src/formats/base/limits.js";
import { padme } from "../../../src/formats/base/padding.js";
import { random, sha256 } from "../../../src/formats/base/primitives.js";
import { BodySealer, partNonce } from "../../../src/formats/envelopes/body.js";
import {
  endOf,
  type OutgoingEnvelope,
  type Recipient,
  readHead,
  seal,
  splitHead,
  wipeSeals,
} from "../../../src/formats/envelopes/envelope.js";
import { encodeHeader, headerSize, parseHeader, REPLY, TIP } from "../../../src/formats/envelopes/header.js";
import {
  checkSendable,
  encodeLetter,
  type FileEntry,
  type Letter,
  parseLetter,
  type ReplyLetter,
  sealLetter,
  type TipLetter,
} from "../../../src/formats/envelopes/letter.js";
import { currentKey } from "../../../src/formats/manifest.js";
import { BodyReader } from "../../../src/worker/files.js";
import { contentOf, flip, makeOrganisation, type TestOrganisation } from "../../support/tools.js";
import { open, readEnvelope } from "./envelope_opening.js";
import { sealReply } from "./reply_sealing.js";
import { openSlot } from "./slot_opening.js";

const MESSAGE = utf8("Свидетельство: я видел это сам.\n");
let organisations: TestOrganisation[];
let fidh: TestOrganisation;

beforeAll(async () => {
  organisations = await Promise.all(["fidh", "kibhr", "ili"].map((name) => makeOrganisation(name)));
  [fidh] = organisations as [TestOrganisation];
});

function recipient({ manifest }: TestOrganisation, chosen: boolean): Recipient {
  const { id: key, publicKey } = currentKey(manifest, today());
  return {
    organisation: manifest.id,
    key,
    publicKey,
    chosen: chosen ? { pairKey: random(32), mailbox: random(32) } : null,
  };
}

function letter(message: Bytes, files: readonly FileEntry[] = []): Omit<TipLetter, "bodyKey" | "kind"> {
  return { message, files, id: random(16), language: "ru" };
}

interface Made {
  readonly bytes: Bytes;
  readonly header: Bytes;
  readonly letter: Bytes;
  readonly parts: readonly Bytes[];
  readonly trailer: Bytes;
  readonly hash: Bytes;
  readonly recipients: readonly Recipient[];
  readonly sealed: OutgoingEnvelope;
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
  const { hash, trailer } = await endOf(sealed, sealed.body.hashes);
  return {
    bytes: concat(sealed.header, sealed.letter, ...parts, trailer),
    header: sealed.header,
    letter: sealed.letter,
    parts,
    trailer,
    hash,
    recipients,
    sealed,
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
      expect({ pairKey: opened.pairKey, mailbox: opened.mailbox }).toEqual(made.recipients[i]?.chosen);
    }
  });

  it("opens for those chosen only, in all seven ways, and looks the same in each", async () => {
    for (let ways = 1; ways < 8; ways++) {
      const chosen = [0, 1, 2].map((bit) => (ways & (1 << bit)) !== 0);
      const made = await make([], chosen);

      expect(made.bytes.length).toBe(HEADER_FIXED + 3 * SLOT_SIZE + 8192 + TAG_SIZE + 3 * SEAL_SIZE);
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

  it("has slots with a secret of their own each, which is kept for the trailer and can be wiped", async () => {
    const made = await make([], [true, true, false]);
    const slots = await Promise.all(organisations.slice(0, 2).map((one) => openAs(one, made.bytes)));
    const kept = made.sealed.seals.map(({ secrets }) => secrets);

    expect(
      new Set(
        slots.flatMap(({ contentKey, pairKey, mailbox, sealSecret }) =>
          [contentKey, pairKey, mailbox, sealSecret].map(toHex),
        ),
      ).size,
    ).toBe(7);
    expect(kept.filter((secrets) => secrets === null).length).toBe(1);
    for (const { pairKey, sealSecret } of slots) expect(kept).toContainEqual({ pairKey, sealSecret });
    wipeSeals(made.sealed);
    expect(kept.every((secrets) => secrets === null || isZero(concat(secrets.pairKey, secrets.sealSecret)))).toBe(true);
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
    const opened = (...parts: readonly Bytes[]): ReturnType<typeof open> =>
      openAs(fidh, concat(front, ...parts, made.trailer));

    expect((await opened(one, two, three, ...rest)).files).toEqual(contents);
    await expect(opened(two, one, three, ...rest)).rejects.toThrow("tampered");
    await expect(opened(one, one, three, ...rest)).rejects.toThrow("tampered");
    await expect(openAs(fidh, concat(front, one, two, three))).rejects.toThrow("incomplete");
    await expect(openAs(fidh, front)).rejects.toThrow("incomplete");
    await expect(openAs(fidh, made.bytes.slice(0, -1))).rejects.toThrow("incomplete");
    await expect(openAs(fidh, concat(front, one, flip(two, 99)))).rejects.toThrow("tampered"); // what failed first
    await expect(opened(one, two, three)).rejects.toThrow("incomplete");
    await expect(opened(one, two, three, ...rest, Uint8Array.of(0))).rejects.toThrow("trailing");
    await expect(opened(one, two, other.parts[2] ?? one, ...rest)).rejects.toThrow("tampered");
    await expect(opened(...other.parts)).rejects.toThrow("tampered");
    await expect(opened(one, flip(two, 9), three, ...rest)).rejects.toThrow("tampered");
    await expect(openAs(fidh, concat(made.header, other.letter, ...made.parts))).rejects.toThrow("tampered");
    await expect(openAs(fidh, made.bytes.slice(0, made.header.length + 100))).rejects.toThrow("truncated");
    await expect(openAs(fidh, made.bytes.slice(0, 50))).rejects.toThrow("truncated");
  });

  it("has one hash and one id, whoever computes them", async () => {
    const made = await make([contentOf(PART_SIZE + 1)]);
    const whole = await readEnvelope(made.bytes);
    const hashes = await Promise.all(made.parts.map((part) => sha256(part)));
    const hash = await sha256(
      utf8("tipbox/v1/envelope-hash"),
      await sha256(made.header),
      await sha256(made.letter),
      ...hashes,
    );

    expect(made.hash).toEqual(hash);
    expect(whole.hash).toEqual(hash);
    expect(whole.id).toEqual(await sha256(utf8("tipbox/v1/envelope-id"), hash, made.trailer));
  });

  it("is forged when another's bytes stand in it, whoever could seal them", async () => {
    const made = await make([contentOf(10)]);
    const whole = await readEnvelope(made.bytes);
    const { contentKey, letter: real } = await openAs(fidh, made.bytes); // any of the three can do this
    const words = await sealLetter(whole.headerHash, contentKey, encodeLetter({ ...real, message: utf8("Ложь.") }));
    const again = await BodySealer.create(whole.headerHash, real.bodyKey, whole.header.bodySize);
    const files = await again.seal(new Uint8Array(whole.header.bodySize));
    for (const organisation of organisations) {
      const read = (...rest: readonly Bytes[]): ReturnType<typeof open> =>
        openAs(organisation, concat(made.header, ...rest));

      await expect(read(words, ...made.parts, made.trailer)).rejects.toThrow(/^forged$/);
      await expect(read(made.letter, files, made.trailer)).rejects.toThrow(/^forged$/);
      await expect(read(made.letter, ...made.parts, random(3 * SEAL_SIZE))).rejects.toThrow(/^forged$/);
    }
  });

  it("has a tag for each, and one's is nothing to the others", async () => {
    const made = await make([]);
    for (const [i, { organisation }] of made.sealed.seals.entries()) {
      const spoilt = flip(made.bytes, made.bytes.length - made.trailer.length + i * SEAL_SIZE);
      for (const one of organisations) {
        if (equal(one.manifest.id, organisation)) await expect(openAs(one, spoilt)).rejects.toThrow(/^forged$/);
        else expect((await openAs(one, spoilt)).whole.hash).toEqual(made.hash);
      }
    }
  });

  it("has random bytes for those who were not chosen, in the same place", async () => {
    const made = await make([], [true, false, false]);
    const again = await endOf(made.sealed, []);
    const place = made.sealed.seals.findIndex(({ secrets }) => secrets !== null);

    expect(again.hash).toEqual(made.hash);
    for (let i = 0; i < 3; i++) {
      const tags = [again.trailer, made.trailer].map((one) => toHex(one.slice(i * SEAL_SIZE, (i + 1) * SEAL_SIZE)));
      expect(tags[0] === tags[1]).toBe(i === place);
    }
  });

  it("opens when its parts are of several sessions", async () => {
    const content = contentOf(3 * PART_SIZE + 5);
    const sealed = await seal(
      [recipient(fidh, true)],
      letter(MESSAGE, [{ name: "a", size: content.length, type: "" }]),
    );
    const body = concat(content, new Uint8Array(sealed.bodySize - content.length));
    const other = await sealed.body.again();
    const both = [await sealed.body.seal(body), await other.seal(body)];
    const at = (i: number): readonly [number, number] => [i * ENVELOPE_PART_SIZE, (i + 1) * ENVELOPE_PART_SIZE];
    const parts = [0, 1, 1, 0].map((session, i) => both[session]?.slice(...at(i)) ?? body);
    const hashes = await Promise.all(parts.map((part) => sha256(part)));
    const { trailer } = await endOf(sealed, hashes);

    expect(other.sessionNonce).not.toEqual(sealed.body.sessionNonce);
    expect((await openAs(fidh, concat(sealed.header, sealed.letter, ...parts, trailer))).files).toEqual([content]);
  });

  it("is not made without a recipient, without content, or beyond the limits", async () => {
    const [first, second] = organisations.map((organisation) => recipient(organisation, false));
    if (first === undefined || second === undefined) throw new Error("three were made");
    const chosen = { ...first, chosen: { pairKey: random(32), mailbox: random(32) } };

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

  it("of a reply has no slots", async () => {
    const header = (await sealReply(random(32), { ...letter(MESSAGE), answers: random(16), day: 20_000 })).slice(
      0,
      HEADER_FIXED,
    );
    const parsed = parseHeader(header);

    expect(parsed.kind).toBe(REPLY);
    expect(parsed.slots).toEqual([]);
    expect(headerSize(header)).toBe(HEADER_FIXED);
    expect(encodeHeader(parsed)).toEqual(header);
    expect(() => parseHeader(header.map((byte, i) => (i === 9 ? 1 : byte)))).toThrow(/^limit$/);
    expect(() => parseHeader(header.map((byte, i) => (i === 10 ? TIP : byte)))).toThrow(/^limit$/);
  });

  it("is read as what it says it is, and as nothing else", async () => {
    const tip = await make([]);
    const reply = await sealReply(random(32), { ...letter(MESSAGE), answers: new Uint8Array(0), day: 20_000 });

    expect(() => splitHead(tip.bytes, REPLY)).toThrow(/^malformed$/);
    expect(() => readHead(reply, TIP)).toThrow(/^malformed$/);
    expect(readHead(reply, REPLY).header.kind).toBe(REPLY);
    expect(() => readHead(concat(reply, MESSAGE), REPLY)).toThrow(/^trailing$/);
    expect(() => readHead(reply.slice(0, -1), REPLY)).toThrow(/^truncated$/);
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
          withMagic ? Uint8Array.of(0x89, 0x74, 0x69, 0x70, 0x62, 0x6f, 0x78, 0x0a, 1, 1, 0) : utf8(""),
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
    ["a kind that is none", (header) => header.fill(2, 10, 11), "malformed"],
    ["a kind that is none, before 33 slots", (header) => header.set([33, 2], 9), "malformed"],
    ["a reply's kind", (header) => header.fill(1, 10, 11), "limit"],
    ["a byte that is not zero", (header) => header.fill(1, 11, 12), "malformed"],
    ["a letter that is too large, before that byte", (header) => header.set([1, 0x7f], 11), "limit"],
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
  const whole: TipLetter = {
    ...letter(MESSAGE, [{ name: "../‮\u001b[31mй.jpg", size: 4_294_967_297, type: "" }]),
    bodyKey: random(32),
    kind: TIP,
  };
  const reply: ReplyLetter = { ...whole, kind: REPLY, answers: random(16), day: 20_785 };

  it("reads and writes itself, with all that may be in it", () => {
    const consent = { level: 4, askMe: true, never: ["Полиции", "я".repeat(100)], until: 20_800 };
    const letters: readonly Letter[] = [
      whole,
      { ...whole, sections: ["AA=="] },
      { ...whole, consent, continues: random(32), filesFollow: 1000 },
      { ...whole, consent: { level: 0, askMe: false, never: [], until: null } },
      reply,
      { ...reply, answers: new Uint8Array(0) },
    ];
    for (const one of letters) expect(parseLetter(encodeLetter(one), one.kind)).toEqual(one);
    expect(encodeLetter(whole).length).toBe(8192);
  });

  it("of a tip is none of a reply, nor the other way round", () => {
    expect(() => parseLetter(encodeLetter(whole), REPLY)).toThrow(/^malformed$/);
    expect(() => parseLetter(encodeLetter(reply), TIP)).toThrow(/^malformed$/);
  });

  it("holds a thousand files with names of 255 bytes and a million bytes of text", () => {
    const files = Array.from({ length: 1000 }, (_, i) => ({
      name: `${i}`.padStart(5, "0") + "я".repeat(125),
      size: i,
      type: "video/mp4",
    }));
    const message = new Uint8Array(1_000_000).fill(97);
    const large: TipLetter = { ...whole, files, message };

    expect(parseLetter(encodeLetter(large), TIP)).toEqual(large);
    expect(() => checkSendable(message, files)).not.toThrow();
    expect(() => checkSendable(message, [...files, { name: "a", size: 0, type: "" }])).toThrow("limit");
    expect(() => checkSendable(message, [{ name: "я".repeat(128), size: 0, type: "" }])).toThrow("limit");
    expect(() => checkSendable(message, [{ name: "a", size: 2 ** 41, type: "" }])).toThrow("limit");
  });

  it("never throws anything but its own errors on random plaintext", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 300 }), (bytes) => {
        const plaintext = concat(bytes, new Uint8Array(8192 - bytes.length));
        expect(() => parseLetter(plaintext, TIP)).toThrow(/^(?:malformed|limit)$/);
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
    expect(() => parseLetter(change(encodeLetter(whole)), TIP)).toThrow(new RegExp(`^${code}$`));
  });

  const free = { level: 5, askMe: false, never: [], until: null };
  const never = (...texts: readonly string[]): Partial<TipLetter> => ({ consent: { ...free, never: texts } });
  it.each<[string, Partial<TipLetter>, string]>([
    ["a name of nothing", { files: [{ name: "", size: 0, type: "" }] }, "limit"],
    ["a name with a zero", { files: [{ name: "a\0b", size: 0, type: "" }] }, "malformed"],
    ["a size below zero", { files: [{ name: "a", size: -1, type: "" }] }, "malformed"],
    ["a type that is not ASCII", { files: [{ name: "a", size: 1, type: "é" }] }, "malformed"],
    ["a body key of another size", { bodyKey: random(31) }, "malformed"],
    ["a language that is none", { language: "r" }, "malformed"],
    ["a hash of another size", { continues: random(31) }, "malformed"],
    ["an empty hash", { continues: new Uint8Array(0) }, "malformed"],
    ["no file that follows", { filesFollow: 0 }, "malformed"],
    ["1,001 files that follow", { filesFollow: 1001 }, "malformed"],
    ["a consent beyond public", { consent: { ...free, level: 6 } }, "malformed"],
    ["a consent below internal", { consent: { ...free, level: -1 } }, "malformed"],
    ["nine exceptions", never(..."abcdefghi"), "malformed"],
    ["an empty exception", never(""), "malformed"],
    ["an exception of 201 bytes", never(`${"я".repeat(100)}a`), "malformed"],
    ["an exception with a line break", never("a\nb"), "malformed"],
    ["an exception with a control character", never("a\u009fb"), "malformed"],
  ])("rejects %s", (_, changes, code) => {
    expect(() => parseLetter(encodeLetter({ ...whole, ...changes }), TIP)).toThrow(new RegExp(`^${code}$`));
  });

  it.each<[string, string, string]>([
    ["a member that it does not know", '"id"', '"ix":1,"id"'],
    ["a key to answer to", '"language"', '"kind":"tip","language"'],
    ["a day that is none", '"2026-11-28"', '"2026-02-29"'],
    ["an end of consent that is no text", '"until":""', '"until":null'],
    ["a consent with another member", '"until"', '"uncle":1,"until"'],
    ["a consent without an end", ',"until":""', ""],
    ["an answer to whom it may be", '"ask_me":false', '"ask_me":0'],
    ["half a level", '"level":5', '"level":5.5'],
  ])("rejects %s", (_, found, instead) => {
    const one = found.includes("2026") ? reply : { ...whole, consent: free };
    const meta = metaOf(one);
    expect(meta).toContain(found);
    const changed = meta.replace(found, instead);

    expect(parseLetter(letterOf(meta), one.kind).id).toEqual(one.id);
    expect(() => parseLetter(letterOf(changed), one.kind)).toThrow(/^malformed$/);
  });

  it("is refused when its body key or its sizes are not what the header says", async () => {
    const made = await make([random(100)]);
    const headerHash = await sha256(made.header);
    const { contentKey, letter: real } = await openAs(fidh, made.bytes);
    const swap = async (changes: Partial<Letter>): Promise<Bytes> =>
      concat(
        made.header,
        await sealLetter(headerHash, contentKey, encodeLetter({ ...real, ...changes } as Letter)),
        ...made.parts,
        made.trailer,
      );

    await expect(openAs(fidh, await swap({ bodyKey: random(32) }))).rejects.toThrow(/^commitment$/);
    await expect(openAs(fidh, await swap({ files: [] }))).rejects.toThrow(/^malformed$/);
    expect((await openAs(fidh, await swap({}))).letter).toEqual(real);
  });
});

/** The JSON of a letter. */
function metaOf(one: Letter): string {
  const plaintext = encodeLetter(one);
  return new TextDecoder().decode(plaintext.slice(4, 4 + new DataView(plaintext.buffer).getUint32(0)));
}

/** The plaintext of a letter with this JSON. */
function letterOf(meta: string): Bytes {
  const content = concat(uint(utf8(meta).length, 4), utf8(meta), uint(MESSAGE.length, 4), MESSAGE);
  return concat(content, new Uint8Array(8192 - content.length));
}

describe("body", () => {
  it("numbers its parts and marks the last", () => {
    expect(toHex(partNonce(0, false))).toBe("000000000000000000000000");
    expect(toHex(partNonce(2 ** 24 - 1, true))).toBe("0000000000000000ffffff01");
  });

  it("never goes back to a counter, and never past the end", async () => {
    const sealer = await BodySealer.create(random(32), random(32), PART_SIZE + 8);
    const part = new Uint8Array(PART_SIZE);
    const first = await sealer.seal(part);

    expect(first.length).toBe(ENVELOPE_PART_SIZE);
    expect(first.slice(0, 16)).toEqual(sealer.sessionNonce);
    expect(sealer.hashes).toEqual([await sha256(first)]);
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
    const { trailer } = await endOf(sealed, sealed.body.hashes);
    await expect(openAs(fidh, concat(sealed.header, sealed.letter, parts, trailer))).rejects.toThrow(/^malformed$/);
  });

  it("is sealed again in another session under another key, and in a known one to the same bytes", async () => {
    const plaintext = contentOf(PART_SIZE + 8);
    const sealer = await BodySealer.create(random(32), random(32), plaintext.length);
    const first = await sealer.seal(plaintext);
    const second = await (await sealer.again()).seal(plaintext);

    expect(equal(await (await sealer.again(sealer.sessionNonce)).seal(plaintext), first)).toBe(true);
    expect(equal(second.slice(16, 32), first.slice(16, 32))).toBe(false);
  });
});
