import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type Code, codeOf, TipboxError } from "../../src/errors.js";
import * as accessCodes from "../../src/formats/access_code.js";
import { type Bytes, concat, equal, toHex, utf8 } from "../../src/formats/base/bytes.js";
import { type Day, today } from "../../src/formats/base/days.js";
import { ENVELOPE_PART_SIZE, MAX_RUN_PARTS, PART_SIZE, PLACED_SIZE } from "../../src/formats/base/limits.js";
import { padme } from "../../src/formats/base/padding.js";
import { BodySealer } from "../../src/formats/envelopes/body.js";
import { checkDigits } from "../../src/formats/envelopes/seals.js";
import { parseProof } from "../../src/formats/toll.js";
import type { FromWorker, Order } from "../../src/messages.js";
import { askedPause, TIMING } from "../../src/net/http.js";
import { Payer } from "../../src/net/payer.js";
import { RunLength, stillMissing } from "../../src/net/upload.js";
import { readManifests } from "../../src/worker/recipients.js";
import { type Outcome, send } from "../../src/worker/send.js";
import { open } from "../formats/envelopes/envelope_opening.js";
import { type Fault, Intake } from "../support/intake.js";
import { contentOf, flip, listing, makeOrganisation, type TestOrganisation } from "../support/tools.js";

const TIMING_OF_TESTS = { firstPause: 1, longestPause: 5 };
const MESSAGE = "Что я видел 5 января";
let organisations: TestOrganisation[];
let intake: Intake;

beforeAll(async () => {
  organisations = await Promise.all(["fidh", "kibhr", "ili"].map((name) => makeOrganisation(name)));
});
beforeEach(async () => {
  intake = await Intake.start();
});
afterEach(() => intake.stop());

/** A file that counts how often each of its bytes is read. */
class CountedFile extends File {
  readonly reads: Uint8Array;

  constructor(
    readonly content: Bytes,
    name: string,
  ) {
    super([content], name, { type: "video/mp4" });
    this.reads = new Uint8Array(content.length);
  }

  override slice(start = 0, end = this.size): Blob {
    const piece = super.slice(start, end);
    const counted = <T>(read: () => T) => {
      return (): T => {
        // Before anything is sealed, the first byte of each file is looked at.
        if (start === 0 && end <= 1) return read();
        for (let i = start; i < end; i++) this.reads[i] = (this.reads[i] ?? 0) + 1;
        return read();
      };
    };
    // However a piece is read, and however far, all of it counts.
    piece.stream = counted(piece.stream.bind(piece));
    piece.arrayBuffer = counted(piece.arrayBuffer.bind(piece));
    piece.text = counted(piece.text.bind(piece));
    piece.slice = () => {
      throw new Error("a piece of a piece is not counted");
    };
    return piece;
  }

  override stream(): never {
    throw new Error("only pieces are read");
  }

  override arrayBuffer(): never {
    throw new Error("only pieces are read");
  }
}

/** A stream of so many bytes, as a browser makes it of a Blob; it may break at its end. */
function streamOf(type: "bytes" | undefined, size: number, breaks: boolean): ReadableStream<Bytes> {
  let left = size;
  const pull = (controller: ReadableStreamDefaultController<Bytes> | ReadableByteStreamController): void => {
    if (left > 0) {
      const count = Math.min(left, 10_000);
      left -= count;
      controller.enqueue(new Uint8Array(count).fill(1));
    } else if (breaks) controller.error(new DOMException("gone", "NotReadableError"));
    else {
      controller.close();
      if ("byobRequest" in controller) controller.byobRequest?.respond(0);
    }
  };
  return type === undefined ? new ReadableStream({ pull }, { highWaterMark: 0 }) : new ReadableStream({ type, pull });
}

interface Sent {
  readonly news: FromWorker[];
  readonly files: readonly CountedFile[];
  readonly message: string;
  readonly outcome: Outcome;
}

async function deliver(
  sizes: readonly number[],
  {
    chosen = organisations,
    signal = new AbortController().signal,
    wake,
    day = today(),
    news = [],
    payer = null,
    message = sizes.length === 0 ? MESSAGE : "", // with files the words go by themselves, before them
  }: {
    chosen?: readonly TestOrganisation[];
    signal?: AbortSignal;
    wake?: EventTarget;
    day?: Day;
    news?: FromWorker[];
    payer?: Payer | null;
    message?: string;
  } = {},
  timing: object = TIMING_OF_TESTS,
  contents: readonly Bytes[] = sizes.map(contentOf),
): Promise<Sent> {
  const files = contents.map((content, i) => new CountedFile(content, `видео ${i}.mp4`));
  const order: Order = {
    api: intake.api,
    message: utf8(message),
    files,
    chosen: chosen.map(({ manifest }) => toHex(manifest.id)),
    language: "ru",
    accessCode: null,
    continues: null,
    mayContinue: false,
    replaces: null,
  };
  const manifests = await readManifests(
    organisations.map(({ file }) => file),
    listing(...organisations),
    today(),
  );
  const purse = { payer, prices: null, loadPayer: async () => Payer };
  const connection = { signal, ...(wake && { wake }), timing };
  const outcome = await send(order, manifests, day, (one) => news.push(one), connection, {
    known: null,
    purse,
    placing: null,
  });
  return { news, files, message, outcome };
}

/** Everything is stored, opens for all, and has the check digits that the source was told. */
async function expectArrived({ files, news, message, outcome }: Sent): Promise<void> {
  expect(outcome).toMatchObject({ missing: [], inDoubt: false, elsewhere: false });
  const told = news.filter((one) => one.kind === "checks");
  expect(told.map((one) => one.files)).toEqual([files.length]);
  for (const { manifest, findKey } of organisations) {
    const opened = await open(intake.stored, manifest.id, findKey);
    const digits = await checkDigits(opened, opened.whole.hash);
    const named = told[0]?.checks.find(({ name }) => name === manifest.name);
    if (named !== undefined) expect(named.digits).toBe(digits);

    expect(new TextDecoder().decode(opened.letter.message)).toBe(message);
    expect(opened.letter.files.map(({ name }) => name)).toEqual(files.map(({ name }) => name));
    expect(opened.files.every((file, i) => equal(file, files[i]?.content ?? file.subarray(1)))).toBe(true);
  }
}

describe("a tip without files", () => {
  it("is stored by one request, and costs no more than 16 kB", async () => {
    const sent = await deliver([]);

    await expectArrived(sent);
    expect(intake.seen.map(({ method, path }) => `${method} ${path}`)).toEqual(["PUT "]);
    expect(intake.seen[0]?.size).toBeLessThan(16_000);
    expect(intake.seen[0]?.size).toBe(120 + 3 * 1296 + 8192 + 16 + 3 * 32);
    expect(sent.news.map(({ kind }) => kind)).toEqual(["progress", "letter", "checks"]);
  });

  it("shows an access code whose mailbox is in the slot, and check digits for those chosen only", async () => {
    const [first] = organisations as [TestOrganisation];
    const { news } = await deliver([], { chosen: [first] });
    const letter = news.find((one) => one.kind === "letter");
    const told = news.find((one) => one.kind === "checks");
    const opened = await open(intake.stored, first.manifest.id, first.findKey);
    const root = await accessCodes.rootOf(await accessCodes.parse(letter?.accessCode ?? ""));

    expect(letter?.accessCode).toMatch(/^(?:[0-9]{6} ){5}[0-9]{6}$/);
    expect(opened.mailbox).toEqual(await accessCodes.mailboxAddress(root, first.manifest.id));
    expect(opened.pairKey).toEqual(await accessCodes.pairKey(root, first.manifest.id));
    expect(told?.checks).toEqual([{ name: first.manifest.name, digits: await checkDigits(opened, opened.whole.hash) }]);
    expect(told?.checks[0]?.digits).toMatch(/^[0-9]{5}( [0-9]{5}){3}$/);
  });

  it("is stored once although its answer is lost again and again", async () => {
    intake.fault = (_, number) => (number < 5 ? "lost-answer" : null);
    const sent = await deliver([]);

    await expectArrived(sent);
    expect(intake.seen.length).toBe(6);
    expect(sent.news.filter(({ kind }) => kind === "connection")).toEqual([
      ...Array.from({ length: 5 }, () => expect.objectContaining({ kind: "connection", trouble: "network" })),
      { kind: "connection", trouble: null, pause: null },
    ]);
  });
});

describe("a tip with files", () => {
  it.each([[[1]], [[0, 0]], [[PART_SIZE]], [[PART_SIZE + 1, 0, 3 * PART_SIZE]]])(
    "arrives bit-exact: %j",
    async (sizes) => {
      const sent = await deliver(sizes);

      await expectArrived(sent);
    },
  );

  it("grows its runs while requests are quick, to 64 parts", async () => {
    const sent = await deliver([300 * PART_SIZE], {}, { ...TIMING_OF_TESTS, quick: 3_600_000, slow: 7_200_000 });
    const runs = intake.seen
      .filter(({ path }) => path.startsWith("/parts"))
      .map(({ size }) => Math.ceil(size / ENVELOPE_PART_SIZE));
    const last = sent.news.findLast((one) => one.kind === "progress");

    await expectArrived(sent);
    expect(runs[0]).toBe(4);
    expect(Math.max(...runs)).toBe(MAX_RUN_PARTS);
    expect(last?.bytes).toBe(last?.total);
    expect(last?.total).toBe(intake.stored.length + PLACED_SIZE);
  });

  it.each([
    ["one part at a time where the line is too slow for two", -1, 1],
    ["two runs at a time where it is not", 3_600_000, 2],
  ])("sends %s", async (_, slow, atOnce) => {
    const real = globalThis.fetch;
    let [underWay, most] = [0, 0];
    globalThis.fetch = async (url, init) => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, 5)); // for any other that would be sent meanwhile
      return real(url, init).finally(() => underWay--);
    };
    try {
      const sent = await deliver([12 * PART_SIZE], {}, { ...TIMING_OF_TESTS, quick: 0, slow });
      await expectArrived(sent);
    } finally {
      globalThis.fetch = real;
    }
    const [first] = intake.seen.filter(({ path }) => path.startsWith("/parts"));
    expect(most).toBe(atOnce);
    expect(first?.size).toBe((atOnce === 1 ? 1 : 4) * ENVELOPE_PART_SIZE);
  });

  it("survives twenty cuts in the middle of a body, and sends again only what is missing", async () => {
    let runs = 0;
    let cuts = 0;
    intake.fault = ({ path, size }): Fault | null => {
      if (!path.startsWith("/parts") || runs++ % 2 === 1 || cuts === 20) return null;
      cuts++;
      return { cutAfter: Math.floor(size * 0.7) };
    };
    const sent = await deliver([20 * PART_SIZE, 60 * PART_SIZE + 7]);
    const arrived = intake.seen
      .filter(({ path }) => path.startsWith("/parts"))
      .reduce((sum, { size }) => sum + size, 0);

    expect(cuts).toBe(20);
    await expectArrived(sent);
    expect(intake.differing).toBe(0);
    expect(arrived).toBeLessThan(2 * intake.stored.length);
    expect(intake.seen.filter(({ method }) => method === "GET").length).toBeGreaterThanOrEqual(20);
    expect(sent.news.findLast((one) => one.kind === "progress")?.bytes).toBe(intake.stored.length + PLACED_SIZE);
  });

  it("reads and seals every slice exactly once, however often it is sent", async () => {
    intake.fault = ({ method, path }, number) =>
      method === "PUT" && path !== "" && number % 2 === 0 ? "lost-answer" : null;
    const sent = await deliver([5 * PART_SIZE + 1, 30 * PART_SIZE]);

    await expectArrived(sent);
    expect(intake.differing).toBe(0);
    expect(sent.files.every(({ reads }) => reads.every((count) => count === 1))).toBe(true);
  });

  it("arrives where Blobs are no byte streams, each slice read once", async () => {
    const real = CountedFile.prototype.slice;
    CountedFile.prototype.slice = function (this: CountedFile, start = 0, end = this.size): Blob {
      const piece = real.call(this, start, end);
      const read = piece.stream;
      piece.stream = () => (read() as ReadableStream<Bytes>).pipeThrough(new TransformStream<Bytes, Bytes>());
      return piece;
    };
    try {
      const sent = await deliver([5 * PART_SIZE + 1, 0, 30 * PART_SIZE]);

      await expectArrived(sent);
      expect(sent.files.every(({ reads }) => reads.every((count) => count === 1))).toBe(true);
    } finally {
      CountedFile.prototype.slice = real;
    }
  });

  it("asks again for the end when that answer is lost", async () => {
    let lost = 0;
    intake.fault = ({ path }) => (path === "/finish" && lost++ < 3 ? "lost-answer" : null);
    const sent = await deliver([PART_SIZE]);

    await expectArrived(sent);
    expect(intake.seen.filter(({ path }) => path === "/finish").length).toBe(4);
  });

  it.each([
    [{ status: 429, error: "slow-down", retryAfter: 0 }, "slow-down"],
    [{ status: 503, error: "unavailable" }, "unavailable"],
    [{ status: 502, error: "" }, "network"],
  ] as const)("waits when the server says %j", async (fault, trouble) => {
    intake.fault = (_, number) => (number % 2 === 1 && number < 8 ? fault : null);
    const sent = await deliver([10 * PART_SIZE]);

    await expectArrived(sent);
    expect(sent.news).toContainEqual(expect.objectContaining({ kind: "connection", trouble }));
  });

  it("pays what the server asks, in the first request only", async () => {
    const members = { hour: 494_000, seed: "A".repeat(43), price: 1 };
    intake.fault = (_, number) => (number === 0 ? { status: 429, error: "toll", members } : null);
    const sent = await deliver([]);

    await expectArrived(sent);
    const paid = intake.seen.map(({ path, toll }) => [path, toll !== undefined]).filter(([, is]) => is);
    expect(paid).toEqual([["", true]]);
    expect(parseProof(intake.seen[1]?.toll ?? "").effort).toBe(1);
    expect(sent.news.filter(({ kind }) => kind === "working").at(-1)).toEqual({ kind: "working", work: null });
  });

  it.each([0, 1])("sends the words first and at once, and then the files, at a price of %d", async (price) => {
    const members = { hour: 494_000, seed: "A".repeat(43), price: 1 };
    let openings = 0;
    intake.fault = ({ path, toll }) =>
      path === "" && ++openings > 1 && price > 0 && toll === undefined ? { status: 429, error: "toll", members } : null;
    const sent = await deliver([2 * PART_SIZE, 5], { message: MESSAGE });

    const [words, files] = intake.all;
    const [first] = organisations;
    if (words === undefined || files === undefined || first === undefined) throw new Error("two were to be stored");
    const told = sent.news.filter(({ kind }) => kind === "checks");
    const one = await open(words, first.manifest.id, first.findKey);
    const other = await open(files, first.manifest.id, first.findKey);
    expect(intake.all).toHaveLength(2);
    expect(intake.asked).toBe(0);
    const paid = intake.seen.filter(({ toll }) => toll !== undefined);
    expect(paid.map(({ path }) => path)).toEqual(price > 0 ? [""] : []);
    expect(new TextDecoder().decode(one.letter.message)).toBe(MESSAGE);
    expect(one.letter).toMatchObject({ files: [], filesFollow: 2 });
    expect(one.letter).not.toHaveProperty("continues");
    expect([other.letter.message.length, other.letter.files.length]).toEqual([0, 2]);
    expect(other.letter).toMatchObject({ continues: one.whole.hash });
    expect(sent.outcome).toEqual({ continues: toHex(other.whole.hash), missing: [], inDoubt: false, elsewhere: false });
    expect(told).toMatchObject([{ files: 0 }, { files: 2 }]);
    for (const [at, opened] of [one, other].entries()) {
      const digits = await checkDigits(opened, opened.whole.hash);
      expect(told[at]).toHaveProperty("checks", expect.arrayContaining([{ name: first.manifest.name, digits }]));
    }
    const kinds = sent.news.map(({ kind }) => kind).filter((kind) => ["letter", "words", "checks"].includes(kind));
    expect(kinds).toEqual(["letter", "checks", "words", "checks"]);
  });

  it("looks at no file before the words are stored", async () => {
    const looked = vi.spyOn(CountedFile.prototype, "slice");
    let before = -1;
    intake.fault = (_, number) => {
      if (number === 0) before = looked.mock.calls.length;
      return null;
    };
    await deliver([5], { message: MESSAGE });

    expect(before).toBe(0);
    expect(looked.mock.calls.length).toBeGreaterThan(0);
    looked.mockRestore();
  });

  it.each<[string, string, Fault, Code, boolean]>([
    ["find no room", "", { status: 507, error: "full" }, "full", false],
    ["are no longer known", "/parts/0", { status: 404, error: "no-draft" }, "no-draft", false],
    ["are other ones each time", "/finish", { status: 409, error: "part-differs" }, "part-differs", true],
  ])("leaves the words where they are when the files %s", async (_, path, fault, code, inDoubt) => {
    let requests = 0;
    intake.fault = (seen) => (requests++ > 0 && seen.path === path ? fault : null);
    const { news, outcome } = await deliver([5, 6], { message: MESSAGE });
    const [words] = intake.all;
    const [first] = organisations as [TestOrganisation];
    const { whole } = await open(words ?? new Uint8Array(), first.manifest.id, first.findKey);

    expect(outcome).toEqual({
      continues: toHex(whole.hash),
      missing: [0, 1].map((file) => ({ file, code })),
      inDoubt,
      elsewhere: false,
    });
    expect(news.filter(({ kind }) => kind === "words" || kind === "doubt")).toEqual([{ kind: "words" }]);
    expect(intake.all).toHaveLength(1);
  });

  it("leaves the words where they are when it is stopped", async () => {
    const stop = new AbortController();
    intake.fault = ({ path }) => {
      if (path.startsWith("/parts")) stop.abort(new TipboxError("stopped"));
      return null;
    };
    const { outcome } = await deliver([5], { message: MESSAGE, signal: stop.signal });

    expect(outcome).toMatchObject({ missing: [{ file: 0, code: "stopped" }], inDoubt: false });
    expect(intake.all).toHaveLength(1);
  });

  it("waits as long as the server asks", async () => {
    intake.fault = (_, number) => (number === 0 ? { status: 429, error: "slow-down", retryAfter: 1 } : null);
    const started = performance.now();
    await deliver([]);

    expect(performance.now() - started).toBeGreaterThan(990);
  });

  it("goes on at once when the device is online again", async () => {
    const wake = new EventTarget();
    intake.fault = (_, number) => (number === 0 ? "lost-answer" : null);
    const delivered = deliver([], { wake }, { firstPause: 3_600_000, longestPause: 3_600_000 });
    const knock = setInterval(() => wake.dispatchEvent(new Event("online")), 5);
    const sent = await delivered;
    clearInterval(knock);

    await expectArrived(sent);
  });

  it.each<[number, string, Code]>([
    [507, "full", "full"],
    [409, "part-differs", "part-differs"],
    [404, "no-draft", "no-draft"],
    [422, "unknown-organisation", "unknown-organisation"],
    [413, "too-large", "too-large"],
    [403, "no-circuit", "no-circuit"],
    [400, "malformed", "malformed"],
    [400, "something else", "internal"],
  ])("ends at once when the server answers %d %s", async (status, error, code) => {
    intake.fault = ({ path }) => (path.startsWith("/parts") ? { status, error } : null);

    await expect(deliver([30 * PART_SIZE])).rejects.toThrow(new RegExp(`^${code}$`));
    expect(intake.seen.length).toBeLessThan(5);
  });

  it("is full from the first request on", async () => {
    intake.fault = () => ({ status: 507, error: "full" });

    await expect(deliver([1])).rejects.toThrow("full");
    expect(intake.seen.length).toBe(1);
  });

  it("ends when it is stopped, in the middle of a request and in the middle of a pause", async () => {
    for (const fault of [null, "lost-answer"] as const) {
      const stop = new AbortController();
      intake.fault = ({ path }, number) => {
        if (number > 3) stop.abort(new Error("stopped by the test"));
        return path.startsWith("/parts") ? fault : null;
      };

      await expect(deliver([100 * PART_SIZE], { signal: stop.signal })).rejects.toThrow("stopped by the test");
    }
  });

  it("gives up when its time is over, with the cause", async () => {
    intake.fault = () => "lost-answer";

    await expect(deliver([], {}, { ...TIMING_OF_TESTS, retryFor: 50 })).rejects.toThrow("network");
  });

  it("gives up a request that is never answered, and tries again", async () => {
    const handlers: (() => void)[] = [];
    const hung = new Promise<void>((resolve) => handlers.push(resolve));
    const real = globalThis.fetch;
    let calls = 0;
    globalThis.fetch = (input, init) => {
      // The others have no limit: a slow machine must not have them given up too.
      if (calls++ > 0) return real(input, { ...init, signal: null });
      return new Promise((_, reject) =>
        init?.signal?.addEventListener("abort", () => {
          reject(new Error("aborted"));
          handlers[0]?.();
        }),
      );
    };
    try {
      const sent = await deliver([], {}, { ...TIMING_OF_TESTS, timeout: 1, slack: 0 });
      await hung;
      expect(calls).toBeGreaterThan(1);
      await expectArrived(sent);
    } finally {
      globalThis.fetch = real;
    }
  });

  it.each([
    ["file-unreadable", "gone", "bytes", 0],
    ["file-unreadable", "gone", undefined, 0],
    ["file-unreadable", "gone in the middle", "bytes", 70_000],
    ["file-unreadable", "gone in the middle", undefined, 70_000],
    ["file-changed", "cut", "bytes", 3],
    ["file-changed", "cut", undefined, 3],
    ["file-changed", "empty", "bytes", 0],
    ["file-changed", "longer", undefined, 100 * PART_SIZE],
  ] as const)("says %s when a file is %s while it is sent (stream of %s)", async (code, _, type, size) => {
    const real = CountedFile.prototype.slice;
    CountedFile.prototype.slice = function (this: CountedFile, start = 0, end = this.size): Blob {
      const piece = real.call(this, start, end);
      if (start > 0) piece.stream = () => streamOf(type, size, code === "file-unreadable");
      return piece;
    };
    try {
      await expect(deliver([100 * PART_SIZE])).rejects.toMatchObject({ code, index: 0 });
      expect(intake.all).toEqual([]);
      for (const message of ["", MESSAGE]) {
        const before = intake.all.length;
        const { news, outcome } = await deliver([10, 100 * PART_SIZE, 9], { message });
        const stored = intake.all.slice(before);
        const [first] = organisations as [TestOrganisation];
        const opened = await open(stored.at(-1) ?? new Uint8Array(), first.manifest.id, first.findKey);

        expect(outcome).toEqual({
          continues: toHex(opened.whole.hash),
          missing: [{ file: 1, code }],
          inDoubt: false,
          elsewhere: false,
        });
        expect(news).toContainEqual({ kind: "skipped", file: 1, code });
        expect(opened.letter.files.map(({ name }) => name)).toEqual(["видео 0.mp4", "видео 2.mp4"]);
        expect(stored).toHaveLength(message === "" ? 1 : 2);
        const follow = message === "" ? 1 : undefined; // with words, they say it of all
        expect("filesFollow" in opened.letter ? opened.letter.filesFollow : undefined).toBe(follow);
      }
    } finally {
      CountedFile.prototype.slice = real;
    }
  });
});

describe("what failed and may have arrived", () => {
  const FULL = { status: 507, error: "full" };
  const CODE = expect.stringMatching(/^(?:[0-9]{6} ){5}[0-9]{6}$/) as string;
  const GONE = { status: 404, error: "no-draft" };

  /** The code of the error, and the digits of each access code that is in doubt. */
  async function failing(sizes: readonly number[], signal?: AbortSignal): Promise<[string, ...(string | null)[]]> {
    const news: FromWorker[] = [];
    const failed = await deliver(sizes, { news, ...(signal && { signal }) }).catch(codeOf);
    const letter = news.find((one) => one.kind === "letter");
    const digits = news.filter((one) => one.kind === "doubt").map((one) => one.accessCode);
    if (letter !== undefined) expect(digits.every((one) => one === letter.accessCode)).toBe(true);
    return [failed as string, ...digits];
  }

  it.each<[string, string, readonly number[], Fault]>([
    ["words", "", [], FULL],
    ["words", "", [], { status: 422, error: "unknown-organisation" }],
    ["files", "/finish", [9], GONE],
    ["files", "/finish", [9], FULL],
  ])(
    "is in doubt when %s are refused after an answer was lost, and not when it was not",
    async (_, path, sizes, no) => {
      let lost = 0;
      intake.fault = (seen) => {
        if (seen.path !== path) return null;
        return lost-- > 0 ? "lost-answer" : no;
      };

      expect(await failing(sizes)).toEqual([(no as { error: string }).error]);
      lost = 2;
      expect(await failing(sizes)).toEqual([(no as { error: string }).error, CODE]);
    },
  );

  it("is in doubt when it was stopped after the last request, and not before", async () => {
    for (const [path, sizes, doubt] of [
      ["", [], [CODE]],
      ["", [9], []],
      ["/parts/0", [9], []],
      ["/finish", [9], [CODE]],
    ] as const) {
      const stop = new AbortController();
      intake.fault = (seen) => {
        if (seen.path !== path) return null;
        stop.abort(new TipboxError("stopped"));
        return "lost-answer";
      };

      expect(await failing(sizes, stop.signal)).toEqual(["stopped", ...doubt]);
    }
  });

  it("is in doubt when the last answer makes no sense", async () => {
    intake.fault = () => ({ status: 418, error: "teapot" });
    expect(await failing([])).toEqual(["internal", CODE]);
    expect(await failing([9])).toEqual(["internal"]);
  });

  it("is in doubt when a server has other parts twice", async () => {
    intake.fault = ({ path }) => (path === "/finish" ? { status: 409, error: "part-differs" } : null);

    expect(await failing([9])).toEqual(["part-differs", CODE]);
  });

  it("is not in doubt when a manifest is no longer good: nothing is sent", async () => {
    const news: FromWorker[] = [];

    await expect(deliver([], { news, day: today() + 57 })).rejects.toThrow(/^expired$/);
    expect(news).toEqual([]);
    expect(intake.seen).toEqual([]);
  });
});

describe("a manifest that ends while the page is open", () => {
  it("keeps no message from the others, when its organisation is not chosen", async () => {
    const short = await makeOrganisation("short", today(), { until: today() + 1 });
    organisations.push(short);
    try {
      const chosen = organisations.slice(0, 1);
      await deliver([], { chosen, day: today() + 1 });

      expect(intake.stored[9]).toBe(organisations.length - 1);
      await expect(deliver([], { day: today() + 1 })).rejects.toThrow(/^expired$/);
    } finally {
      organisations.pop();
    }
  });
});

describe("a server that has other parts than were sent", () => {
  const SIZES = [PART_SIZE + 5, 2 * PART_SIZE];
  let sealers: BodySealer[];

  beforeEach(() => {
    sealers = [];
    const create = BodySealer.create;
    vi.spyOn(BodySealer, "create").mockImplementation(async (...given) => {
      const sealer = await create(...given);
      sealers.push(sealer);
      return sealer;
    });
  });
  afterEach(() => vi.restoreAllMocks());

  /** A part as another session would have sealed it, of the same files or of others. */
  async function sealedElsewhere(body: Bytes, part: number): Promise<Bytes> {
    const session = await sealers[0]?.again();
    const sealed = await session?.seal(body);
    if (sealed === undefined) throw new Error("nothing was sealed yet");
    return sealed.slice(part * ENVELOPE_PART_SIZE, (part + 1) * ENVELOPE_PART_SIZE);
  }

  function paths(): string[] {
    return intake.seen.map(({ method, path }) => `${method} ${path}`).filter((one) => !/^PUT \/parts/.test(one));
  }

  it("is taken at its word when they are the same files, sealed by another session", async () => {
    const contents = SIZES.map(contentOf);
    const body = new Uint8Array(padme(3 * PART_SIZE + 5));
    body.set(concat(...contents));
    intake.meddle = async (parts) => {
      parts[1] = await sealedElsewhere(body, 1);
    };
    const sent = await deliver(SIZES, {}, TIMING_OF_TESTS, contents);

    await expectArrived(sent);
    expect(paths()).toEqual(["PUT ", "POST /finish", "GET /parts/0", "POST /finish"]);
    expect(intake.drafts.size).toBe(1);
  });

  it("gets everything once more, sealed anew, when they are others", async () => {
    intake.meddle = async (parts) => {
      if (intake.drafts.size === 1) parts[0] = await sealedElsewhere(contentOf(padme(3 * PART_SIZE + 5)), 0);
    };
    const sent = await deliver(SIZES);
    const [first, second] = [...intake.drafts.values()];
    const nonces = [first, second].map((draft) => toHex(draft?.parts[1]?.slice(0, 16) ?? new Uint8Array(0)));

    await expectArrived(sent);
    expect(paths()).toEqual(["PUT ", "POST /finish", "GET /parts/0", "PUT ", "POST /finish"]);
    expect([first?.stored, second?.stored]).toEqual([false, true]);
    for (const piece of ["header", "letter"] as const) expect(second?.[piece]).toEqual(first?.[piece]);
    expect(second?.placed).not.toEqual(first?.placed);
    expect(new Set(nonces).size).toBe(2);
    expect(sent.news.filter(({ kind }) => kind === "letter").length).toBe(1);
    expect(sent.news.findLast((one) => one.kind === "progress")?.bytes).toBe(intake.stored.length + PLACED_SIZE);
  });

  it.each<[string, (parts: (Bytes | undefined)[]) => void]>([
    ["spoils them", (parts) => parts.splice(0, 1, flip(parts[0] ?? new Uint8Array(99), 50))],
    ["exchanges two", (parts) => parts.splice(0, 2, parts[1], parts[0])],
    ["loses one", (parts) => parts.splice(2, 1, undefined)],
    ["names many sessions", (parts) => parts.splice(0, 8, ...parts.map((_, i) => new Uint8Array(65_568).fill(i)))],
  ])("is given up the second time when it %s", async (_, meddle) => {
    intake.meddle = meddle;

    await expect(deliver([8 * PART_SIZE])).rejects.toThrow(/^part-differs$/);
    expect(paths()).toEqual(["PUT ", "POST /finish", "GET /parts/0", "PUT ", "POST /finish"]);
    expect([...intake.drafts.values()].some(({ stored }) => stored)).toBe(false);
  });
});

describe("the pause that a server asks for", () => {
  it.each([
    [null, 0],
    ["0", 0],
    ["1", 1000],
    ["60", 60_000],
    ["61", 60_000],
    ["99999999999", 60_000],
    ["Infinity", 60_000],
    ["-5", 0],
    ["soon", 0],
    ["Wed, 21 Oct 2115 07:28:00 GMT", 0],
  ])("of %j is %d ms: never more than a minute", (header, pause) => {
    expect(askedPause(header)).toBe(pause);
  });
});

describe("run length", () => {
  it("doubles while quick, halves when slow or cut, stays between 1 and 64", () => {
    const length = new RunLength();
    length.answered(1, 10, TIMING); // a short run says little
    expect(length.parts).toBe(4);
    for (let i = 0; i < 9; i++) length.answered(length.parts, 10, TIMING);
    expect(length.parts).toBe(64);
    length.answered(64, 5000, TIMING);
    expect(length.parts).toBe(64);
    length.answered(64, 25_000, TIMING);
    expect(length.parts).toBe(32);
    for (let i = 0; i < 6; i++) length.cut();
    expect([length.parts, length.isAlone]).toEqual([1, true]);
    length.cut();
    length.answered(1, 10, TIMING);
    expect([length.parts, length.isAlone]).toEqual([1, false]);
    length.answered(1, 10, TIMING);
    expect(length.parts).toBe(2);
    length.opened(19_000, TIMING);
    expect(length.parts).toBe(2);
    length.opened(21_000, TIMING);
    expect([length.parts, length.isAlone]).toEqual([1, true]);
  });
});

describe("what is still missing", () => {
  it("is what run and ranges share", () => {
    expect(stillMissing([10, 10], [])).toEqual([]);
    expect(
      stillMissing(
        [10, 10],
        [
          [0, 5],
          [8, 4],
          [15, 1],
          [18, 50],
        ],
      ),
    ).toEqual([
      [10, 2],
      [15, 1],
      [18, 2],
    ]);
  });

  it("is everything behind the last of a full list", () => {
    const listed = Array.from({ length: 100 }, (_, i) => [2 * i, 1] as const);

    expect(stillMissing([197, 10], listed)).toEqual([
      [198, 1],
      [199, 8],
    ]);
  });
});
