import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Code } from "../../src/errors.js";
import { generate, pairKey, type Secrets, secrets } from "../../src/formats/access_code.js";
import { type Bytes, concat, equal, fromUtf8, toHex } from "../../src/formats/base/bytes.js";
import { PART_SIZE, PIECE_SIZE } from "../../src/formats/base/limits.js";
import { random } from "../../src/formats/base/primitives.js";
import { MailboxClient, type MailboxContents, type ReadableReply } from "../../src/net/mailbox_client.js";
import { type Deposit, deposit, Postbox, reply } from "../support/postbox.js";
import { contentOf, flip } from "../support/tools.js";

const TEXT = "Мы получили. Спасибо.";
const FIDH = random(16);
const KIBHR = random(16);
let source: Secrets;
let ofKibhr: Bytes;
let postbox: Postbox;
let troubles: (Code | null)[];

beforeAll(async () => {
  source = await secrets(await generate());
  ofKibhr = await pairKey(source.root, KIBHR);
});
beforeEach(async () => {
  postbox = await Postbox.start(source.mailboxToken);
  troubles = [];
});
afterEach(() => postbox.stop());

function mailbox(api = postbox.api): MailboxClient {
  const timing = { firstPause: 1, longestPause: 5, retryFor: 600_000 };
  return new MailboxClient(api, source, [FIDH, KIBHR], {
    signal: new AbortController().signal,
    timing,
    onTrouble: (trouble) => troubles.push(trouble),
  });
}

async function open(...deposits: Deposit[]): Promise<MailboxContents> {
  postbox.deposits = deposits;
  return mailbox().open();
}

function only(found: MailboxContents): ReadableReply {
  const [shown, ...more] = found.shown;
  if (shown === undefined || more.length > 0) throw new Error("not exactly one reply is shown");
  return shown;
}

async function bytesOf(blob: Blob): Promise<Bytes> {
  return new Uint8Array(await blob.arrayBuffer());
}

describe("what a mailbox shows", () => {
  it("is nothing when it is empty", async () => {
    expect(await open()).toEqual({ shown: [], pending: [], others: 0 });
  });

  it("is a reply whose pair key is that of an organisation of the page, with its name", async () => {
    const shown = only(await open(await deposit(await reply(source, ofKibhr, TEXT), 20_001)));

    expect(toHex(shown.organisation)).toBe(toHex(KIBHR));
    expect(fromUtf8(shown.letter.message)).toBe(TEXT);
    expect(shown.entry.day).toBe(20_001);
  });

  it.each<[string, () => Promise<Deposit>]>([
    ["of the server, which has no pair key", async () => deposit(await reply(source, random(32), TEXT))],
    ["of the server, with a pair key of zeros", async () => deposit(await reply(source, new Uint8Array(32), TEXT))],
    [
      "of an organisation that is not on the page",
      async () => deposit(await reply(source, await pairKey(source.root, random(16)), TEXT)),
    ],
    [
      "with the pair key of another source",
      async () => deposit(await reply(source, await pairKey(random(32), KIBHR), TEXT)),
    ],
    ["with a pair key that is nearly right", async () => deposit(await reply(source, flip(ofKibhr, 31), TEXT))],
    ["that is no reply", async () => deposit(await reply(source, ofKibhr, TEXT, [], { kind: "tip" }))],
    ["with a flipped bit in its slot", async () => spoilt((opening) => flip(opening, 300))],
    ["with a flipped bit in its letter", async () => spoilt((opening) => flip(opening, opening.length - 1))],
    ["of another version", async () => spoilt((opening) => opening.map((byte, i) => (i === 8 ? 2 : byte)))],
    ["that is cut", async () => spoilt((opening) => opening.slice(0, -1), TEXT.repeat(400))],
    ["with bytes after it", async () => spoilt((opening) => concat(opening, new Uint8Array(1)))],
    ["that is not an Envelope", async () => spoilt((opening) => opening.fill(0))],
    ["under another id", async () => ({ ...(await deposit(await reply(source, ofKibhr, TEXT))), id: random(32) })],
  ])("is not a reply %s; it is counted", async (_, make) => {
    const bad = await make();

    expect(await open(bad)).toEqual({ shown: [], pending: [], others: 1 });
    expect((await open(bad, await deposit(await reply(source, ofKibhr, TEXT)))).shown.length).toBe(1);
  });

  it("is each reply once, also when the server has it under two ids", async () => {
    const first = await deposit(await reply(source, ofKibhr, TEXT, [{ name: "a", content: contentOf(10) }]));
    const found = await open(first, { ...first, id: random(32) });

    expect(found.shown.length).toBe(1);
    expect(found.others).toBe(1);
  });

  it("is a letter that did not fit, when it is asked for", async () => {
    const long = "Подробно. ".repeat(9000); // 153 kB: no list holds it
    const envelope = await deposit(await reply(source, ofKibhr, long));
    const forged = await deposit(await reply(source, random(32), long));
    postbox.deposits = [envelope, forged];
    const reader = mailbox();
    const found = await reader.open();
    const loaded = await Promise.all(found.pending.map((entry) => reader.load(entry)));

    expect(found.shown).toEqual([]);
    expect(found.pending.length).toBe(2);
    expect(loaded.map((one) => one && fromUtf8(one.letter.message)).filter(Boolean)).toEqual([long]);
    expect(loaded.filter((one) => one === null).length).toBe(1);
  });
});

async function spoilt(change: (opening: Bytes) => Bytes, text = TEXT): Promise<Deposit> {
  const good = await deposit(await reply(source, ofKibhr, text));
  const opening = change(good.opening.slice());
  return { ...good, envelope: opening, opening };
}

describe("files of a reply", () => {
  const files = [
    { name: "a", content: contentOf(100) },
    { name: "empty", content: contentOf(0) },
    { name: "b", content: contentOf(2 * PIECE_SIZE + 12_345) },
    { name: "c", content: contentOf(PART_SIZE) },
  ];

  it("come one by one, whole, and only in the pieces that hold them", async () => {
    postbox.deposits = [await deposit(await reply(source, ofKibhr, TEXT, files))];
    const reader = mailbox();
    const shown = only(await reader.open());
    for (const [i, { content }] of files.entries()) {
      let counted = 0;
      const blob = await reader.file(shown, i, (bytes) => {
        counted += bytes;
      });

      expect(equal(await bytesOf(blob), content)).toBe(true);
      expect(counted).toBeGreaterThanOrEqual(content.length);
    }
    const pieces = postbox.seen.filter((one) => one.startsWith("/piece"));
    expect(pieces.length).toBe(1 + 0 + 3 + 1);
  });

  it.each<[string, number, (envelope: Bytes) => Bytes]>([
    ["a flipped bit in its last part", 2, (envelope) => flip(envelope, bodyOf(envelope) + 9 * (PART_SIZE + 16) - 1)],
    ["an end that is not there", 3, (envelope) => envelope.fill(0, envelope.length - 16)],
    ["two parts that changed places", 2, swap],
  ])("are not given out with %s", async (_, index, change) => {
    const whole = await deposit(await reply(source, ofKibhr, TEXT, files));
    postbox.deposits = [{ ...whole, envelope: change(whole.envelope.slice()) }];
    const reader = mailbox();
    const shown = only(await reader.open());

    await expect(reader.file(shown, index, () => undefined)).rejects.toThrow("tampered");
    expect(await bytesOf(await reader.file(shown, 1, () => undefined))).toEqual(files[1]?.content);
  });
});

function bodyOf(envelope: Bytes): number {
  return 120 + 1232 + new DataView(envelope.buffer).getUint32(12) + 16;
}

function swap(envelope: Bytes): Bytes {
  const at = bodyOf(envelope) + PART_SIZE + 16;
  const size = PART_SIZE + 16;
  const [one, other] = [envelope.slice(at, at + size), envelope.slice(at + size, at + 2 * size)];
  envelope.set(other, at);
  envelope.set(one, at + size);
  return envelope;
}

describe("a mailbox on the line", () => {
  it("asks and is answered in constant sizes, whatever is in it", async () => {
    postbox.deposits = [await deposit(await reply(source, ofKibhr, TEXT, [{ name: "a", content: contentOf(5) }]))];
    const reader = mailbox();
    const shown = only(await reader.open());
    await reader.file(shown, 0, () => undefined);
    await reader.delete([shown.entry]);
    await mailbox().open();

    expect(postbox.seen).toEqual([" 0 65536", "/piece 36 262144", "/delete 16384 32", " 0 65536"]);
    expect(postbox.deposits).toEqual([]);
  });

  it("asks again when answers are lost, and says so", async () => {
    postbox.losses = 2;

    expect(await open()).toEqual({ shown: [], pending: [], others: 0 });
    expect(troubles).toEqual(["network", "network", null]);
  });

  it.each<[string, (answer: Bytes) => Bytes, string]>([
    ["another magic", (answer) => flip(answer, 0), "not-tipbox"],
    ["another version", (answer) => flip(answer, 8), "version"],
    ["more letters than replies", (answer) => answer.map((byte, i) => (i === 13 ? 9 : byte)), "limit"],
    ["something in its padding", (answer) => flip(answer, answer.length - 1), "malformed"],
  ])("refuses a list with %s", async (_, spoil, code) => {
    postbox.spoil = spoil;

    await expect(open(await deposit(await reply(source, ofKibhr, TEXT)))).rejects.toThrow(code);
  });

  it("takes an answer of another size for a broken line", async () => {
    postbox.spoil = (answer) => (troubles.length === 0 ? answer.slice(1) : answer);

    expect((await open()).others).toBe(0);
    expect(troubles).toEqual(["network", null]);
  });
});
