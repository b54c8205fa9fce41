import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Code } from "../../src/errors.js";
import { mailboxAddress, mailboxRequest, pairKey } from "../../src/formats/access_code.js";
import { type Bytes, concat, equal, fromUtf8, toHex, uint, utf8 } from "../../src/formats/base/bytes.js";
import { ENTRY_SIZE, ENVELOPE_PART_SIZE, LIST_HEADER, PART_SIZE, PIECE_SIZE } from "../../src/formats/base/limits.js";
import { random } from "../../src/formats/base/primitives.js";
import { endOf, seal } from "../../src/formats/envelopes/envelope.js";
import { envelopeId } from "../../src/formats/envelopes/seals.js";
import { currentKey } from "../../src/formats/manifest.js";
import { MailboxClient, type MailboxContents, type ReadableReply } from "../../src/net/mailbox_client.js";
import { mailboxLine } from "../../src/net/mailbox_line.js";
import { type Deposit, deposit, openingSize, Postbox, reply } from "../support/postbox.js";
import { contentOf, flip, makeOrganisation } from "../support/tools.js";

const TEXT = "Мы получили. Спасибо.";
const ROOT = random(32);
const FIDH = new Uint8Array(16).fill(1);
const KIBHR = new Uint8Array(16).fill(2);
let ofKibhr: Bytes;
let atKibhr: Bytes;
let postbox: Postbox;
let troubles: (Code | null)[];

beforeAll(async () => {
  ofKibhr = await pairKey(ROOT, KIBHR);
  atKibhr = await mailboxAddress(ROOT, KIBHR);
});
beforeEach(async () => {
  postbox = await Postbox.start();
  troubles = [];
});
afterEach(() => postbox.stop());

function mailbox(organisations: readonly Bytes[] = [FIDH, KIBHR], held: readonly Bytes[] = []): MailboxClient {
  const timing = { firstPause: 1, longestPause: 5, retryFor: 600_000 };
  const whose = { named: organisations, held };
  const line = mailboxLine(postbox.api, {
    signal: new AbortController().signal,
    timing,
    onTrouble: (trouble) => troubles.push(trouble),
  });
  return new MailboxClient(line, ROOT, whose);
}

/** A reply of this organisation in its mailbox. */
async function replyOf(organisation: Bytes, text = TEXT, day = 20_000): Promise<Deposit> {
  return deposit(await mailboxAddress(ROOT, organisation), await reply(await pairKey(ROOT, organisation), text), day);
}

/** A reply in the mailbox of `KIBHR`, whoever sealed it. */
async function inKibhrs(envelope: Promise<Bytes>): Promise<Deposit> {
  return deposit(atKibhr, await envelope);
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
    expect(await open()).toEqual({ shown: [], pending: [], others: 0, leftOut: 0 });
  });

  it("is a reply in the mailbox of the organisation whose pair key opens it", async () => {
    const shown = only(await open(await deposit(atKibhr, await reply(ofKibhr, TEXT, [], { day: 19_999 }), 20_001)));

    expect(toHex(shown.organisation)).toBe(toHex(KIBHR));
    expect(fromUtf8(shown.letter.message)).toBe(TEXT);
    expect(shown.letter.day).toBe(19_999);
    expect(shown.entry.day).toBe(20_001);
  });

  it.each<[string, () => Promise<Deposit>]>([
    ["of the server, which has no pair key", () => inKibhrs(reply(random(32), TEXT))],
    ["of the server, with a pair key of zeros", () => inKibhrs(reply(new Uint8Array(32), TEXT))],
    ["of another organisation, in this one's mailbox", async () => inKibhrs(reply(await pairKey(ROOT, FIDH), TEXT))],
    [
      "of this organisation, in another's mailbox",
      async () => ({ ...(await replyOf(KIBHR)), mailbox: await atFidhs() }),
    ],
    ["with the pair key of another source", async () => inKibhrs(reply(await pairKey(random(32), KIBHR), TEXT))],
    ["with a pair key that is nearly right", () => inKibhrs(reply(flip(ofKibhr, 31), TEXT))],
    ["that is a tip", tip],
    ["with a flipped bit in its salt", async () => spoilt((opening) => flip(opening, 30))],
    ["with a flipped bit in its letter", async () => spoilt((opening) => flip(opening, opening.length - 1))],
    ["of another version", async () => spoilt((opening) => opening.map((byte, i) => (i === 8 ? 2 : byte)))],
    ["with a slot", async () => spoilt((opening) => opening.map((byte, i) => (i === 9 ? 1 : byte)))],
    ["that says it is a tip", async () => spoilt((opening) => opening.map((byte, i) => (i === 10 ? 0 : byte)))],
    ["that is cut", async () => spoilt((opening) => opening.slice(0, -1), TEXT.repeat(400))],
    ["with bytes after it", async () => spoilt((opening) => concat(opening, new Uint8Array(1)))],
    ["that is not an Envelope", async () => spoilt((opening) => opening.fill(0))],
    ["under another id", async () => ({ ...(await replyOf(KIBHR)), id: random(32) })],
  ])("is not a reply %s; it is counted", async (_, make) => {
    const bad = await make();

    expect(await open(bad)).toEqual({ shown: [], pending: [], others: 1, leftOut: 0 });
    expect((await open(bad, await replyOf(KIBHR))).shown.length).toBe(1);
  });

  it("is a reply only where a server says that it lies in its writer's mailbox", async () => {
    const tokens = await mailboxRequest(ROOT, [FIDH, KIBHR]);
    const shown: number[] = [];
    for (const place of tokens.keys()) {
      postbox.spoil = (answer) => {
        answer[LIST_HEADER + ENTRY_SIZE - 4] = place;
        return answer;
      };
      const found = await open(await replyOf(KIBHR));
      expect(found.shown.length + found.others).toBe(1);
      if (found.shown.length === 1) shown.push(place);
    }

    expect(shown).toEqual([
      tokens.findIndex(({ organisation }) => organisation !== null && equal(organisation, KIBHR)),
    ]);
  });

  it("is each reply once, also when the server has it under two ids", async () => {
    const first = await inKibhrs(reply(ofKibhr, TEXT, [{ name: "a", content: contentOf(10) }]));
    const found = await open(first, { ...first, id: random(32) });

    expect(found.shown.length).toBe(1);
    expect(found.others).toBe(1);
  });

  it("is a reply of its writer also when another organisation has a copy in its mailbox", async () => {
    const many = Array.from({ length: 40 }, (_, i) => new Uint8Array(16).fill(i + 1));
    const [first, last] = [many[0] ?? FIDH, many[39] ?? KIBHR]; // in two requests
    const theirs = await replyOf(last);
    postbox.deposits = [theirs, { ...theirs, mailbox: await mailboxAddress(ROOT, first) }];
    const found = await mailbox(many).open();

    expect(found.shown.map(({ organisation }) => toHex(organisation))).toEqual([toHex(last)]);
    expect(found.others).toBe(1);
  });

  it("is a letter that did not fit, when it is asked for", async () => {
    const long = "Подробно. ".repeat(9000); // 153 kB: no list holds it
    postbox.deposits = [await replyOf(KIBHR, long), await inKibhrs(reply(random(32), long))];
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
  const good = await replyOf(KIBHR, text);
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
    postbox.deposits = [await inKibhrs(reply(ofKibhr, TEXT, files))];
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
    [
      "a flipped bit in its last part",
      2,
      (envelope) => flip(envelope, openingSize(envelope) + 9 * ENVELOPE_PART_SIZE - 1),
    ],
    ["the session nonce of another part", 2, (envelope) => flip(envelope, openingSize(envelope) + ENVELOPE_PART_SIZE)],
    ["an end that is not there", 3, (envelope) => envelope.fill(0, envelope.length - 16)],
    ["two parts that changed places", 2, swap],
  ])("are not given out with %s", async (_, index, change) => {
    const whole = await inKibhrs(reply(ofKibhr, TEXT, files));
    postbox.deposits = [{ ...whole, envelope: change(whole.envelope.slice()) }];
    const reader = mailbox();
    const shown = only(await reader.open());

    await expect(reader.file(shown, index, () => undefined)).rejects.toThrow("tampered");
    expect(await bytesOf(await reader.file(shown, 1, () => undefined))).toEqual(files[1]?.content);
  });
});

function swap(envelope: Bytes): Bytes {
  const at = openingSize(envelope) + ENVELOPE_PART_SIZE;
  const size = ENVELOPE_PART_SIZE;
  const [one, other] = [envelope.slice(at, at + size), envelope.slice(at + size, at + 2 * size)];
  envelope.set(other, at);
  envelope.set(one, at + size);
  return envelope;
}

async function atFidhs(): Promise<Bytes> {
  return mailboxAddress(ROOT, FIDH);
}

/** A tip with the pair key of an organisation, in its mailbox. */
async function tip(): Promise<Deposit> {
  const { manifest } = await makeOrganisation("kibhr");
  const { id: key, publicKey } = currentKey(manifest, manifest.from);
  const recipient = { organisation: KIBHR, key, publicKey, chosen: { pairKey: ofKibhr, mailbox: atKibhr } };
  const sealed = await seal([recipient], { message: utf8(TEXT), files: [], id: random(16), language: "" });
  const { hash, trailer } = await endOf(sealed, []);
  const opening = concat(sealed.header, sealed.letter);
  return {
    mailbox: atKibhr,
    id: await envelopeId(hash, trailer),
    day: 20_000,
    envelope: concat(opening, trailer),
    opening,
  };
}

describe("a mailbox on the line", () => {
  it("asks and is answered in constant sizes, whatever is in it", async () => {
    postbox.deposits = [await inKibhrs(reply(ofKibhr, TEXT, [{ name: "a", content: contentOf(5) }]))];
    const reader = mailbox();
    const shown = only(await reader.open());
    await reader.file(shown, 0, () => undefined);
    await reader.delete([shown]);
    await mailbox().open();

    expect(postbox.seen).toEqual([" 1024 65536", "/piece 1060 262144", "/delete 17408 32", " 1024 65536"]);
    expect(postbox.deposits).toEqual([]);
  });

  it("asks for the mailboxes of all organisations at once, and deletes in them at once", async () => {
    const ids = Array.from({ length: 32 }, (_, i) => new Uint8Array(16).fill(i + 1));
    postbox.deposits = await Promise.all(ids.slice(0, 3).map((id) => replyOf(id)));
    const reader = mailbox(ids);
    const { shown } = await reader.open();
    await reader.delete(shown);

    expect(shown.map(({ organisation }) => toHex(organisation)).sort()).toEqual(ids.slice(0, 3).map(toHex));
    expect(postbox.seen).toEqual([" 1024 65536", "/delete 17408 32"]);
    expect(postbox.deposits).toEqual([]);
    expect(new Set(postbox.tokens.map(String)).size).toBe(1);
  });

  it("makes at most four requests, of the lowest ids, and says how many are left out", async () => {
    const ids = Array.from({ length: 130 }, (_, i) => concat(uint(i + 1, 2), new Uint8Array(14)));
    postbox.deposits = [await replyOf(ids[32] ?? FIDH), await replyOf(ids[129] ?? FIDH), await replyOf(ids[0] ?? FIDH)];
    const reader = mailbox(ids.toReversed());
    const { shown, leftOut } = await reader.open();
    await reader.delete(shown);

    expect(shown.map(({ organisation }) => toHex(organisation))).toEqual(
      [ids[0], ids[32]].map((id) => toHex(id ?? FIDH)),
    );
    expect(leftOut).toBe(2);
    expect(postbox.seen).toEqual([...new Array(4).fill(" 1024 65536"), ...new Array(2).fill("/delete 17408 32")]);
    expect(postbox.deposits.length).toBe(1);
    expect(new Set(postbox.tokens.slice(0, 4).flat()).size).toBe(128);
  });

  it("asks first for those whose manifests are held, whatever ids a server names beside them", async () => {
    const ids = Array.from({ length: 130 }, (_, i) => concat(uint(i + 1, 2), new Uint8Array(14)));
    const held = ids.slice(128);
    postbox.deposits = await Promise.all(held.map((id) => replyOf(id)));
    const { shown, leftOut } = await mailbox(ids, held).open();

    expect(shown.map(({ organisation }) => toHex(organisation)).sort()).toEqual(held.map(toHex));
    expect(leftOut).toBe(2);
    // The first request is for those held and the 30 lowest of the others.
    const expected = await mailboxRequest(ROOT, [...held, ...ids.slice(0, 30)]);
    expect(postbox.tokens[0]).toEqual(expected.map(({ token }) => toHex(token)));
  });

  it("asks again when answers are lost, and says so", async () => {
    postbox.losses = 2;

    expect(await open()).toEqual({ shown: [], pending: [], others: 0, leftOut: 0 });
    expect(troubles).toEqual(["network", "network", null]);
  });

  it.each<[string, (answer: Bytes) => Bytes, string]>([
    ["another magic", (answer) => flip(answer, 0), "not-tipbox"],
    ["another version", (answer) => flip(answer, 8), "version"],
    ["more letters than replies", (answer) => answer.map((byte, i) => (i === 13 ? 9 : byte)), "limit"],
    ["something in its padding", (answer) => flip(answer, answer.length - 1), "malformed"],
  ])("refuses a list with %s", async (_, spoil, code) => {
    postbox.spoil = spoil;

    await expect(open(await replyOf(KIBHR))).rejects.toThrow(code);
  });

  it("takes an answer of another size for a broken line", async () => {
    postbox.spoil = (answer) => (troubles.length === 0 ? answer.slice(1) : answer);

    expect((await open()).others).toBe(0);
    expect(troubles).toEqual(["network", null]);
  });
});
