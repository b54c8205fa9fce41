// Continuing an upload on another day: found by its access code alone, gone on with from where it was, and no session
// nonce that ever meets two plaintexts, whatever server, files and tabs do.

import fc from "fast-check";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { codeOf } from "../../src/errors.js";
import * as accessCodes from "../../src/formats/access_code.js";
import { type Bytes, concat, equal, toHex, utf8 } from "../../src/formats/base/bytes.js";
import { today } from "../../src/formats/base/days.js";
import { PART_SIZE, PLACED_SIZE, SESSION_NONCE_SIZE } from "../../src/formats/base/limits.js";
import { random } from "../../src/formats/base/primitives.js";
import { checkDigits } from "../../src/formats/envelopes/seals.js";
import type { FromWorker, Order } from "../../src/messages.js";
import { Payer } from "../../src/net/payer.js";
import { Continuing, Differs, gapsOf, matched, parseRanges, placingOf } from "../../src/worker/later/continuing.js";
import { readManifests } from "../../src/worker/recipients.js";
import { send } from "../../src/worker/send.js";
import { open } from "../formats/envelopes/envelope_opening.js";
import { Intake, rangesOf, wholeRanges } from "../support/intake.js";
import { contentOf, flip, listing, makeOrganisation, type TestOrganisation } from "../support/tools.js";

const TIMING = { firstPause: 1, longestPause: 5 };
const SIZE = 9 * PART_SIZE + 100;
let organisations: TestOrganisation[];
let intake: Intake;
let code: Bytes;
/** Of the code; a copy for each who wipes it. */
let root: Bytes;

beforeAll(async () => {
  organisations = await Promise.all(["fidh", "kibhr", "ili"].map((name) => makeOrganisation(name)));
  code = await accessCodes.generate();
  root = await accessCodes.rootOf(code);
});
beforeEach(async () => {
  intake = await Intake.start();
});
afterEach(() => intake.stop());

function fileOf(content: Bytes, name = "видео.mp4"): File {
  return new File([content], name, { type: "video/mp4" });
}

interface Asked {
  readonly files: readonly File[];
  readonly chosen?: readonly TestOrganisation[];
  readonly signal?: AbortSignal;
  readonly asks?: boolean;
  readonly message?: string;
}

/** Sends files as the page does under this code; `asks`: its source may have to continue. */
async function begin(
  { files, chosen = organisations, signal, asks = true, message = "" }: Asked,
  news: FromWorker[] = [],
) {
  const order: Order = {
    api: intake.api,
    message: utf8(message),
    files,
    chosen: chosen.map(({ manifest }) => toHex(manifest.id)),
    language: "ru",
    accessCode: null,
    continues: null,
    mayContinue: asks,
    replaces: null,
  };
  const manifests = await readManifests(
    organisations.map(({ file }) => file),
    listing(...organisations),
    today(),
  );
  const connection = { signal: signal ?? new AbortController().signal, timing: TIMING };
  const purse = { payer: null, prices: null, loadPayer: async () => Payer };
  const placing = asks ? placingOf : null;
  return send(order, manifests, today(), (one) => news.push(one), connection, { known: code, purse, placing });
}

/** Begins an upload and closes the tab once so many requests were answered. */
async function cut(asked: Asked, requests: number, news: FromWorker[] = []): Promise<void> {
  const tab = new AbortController();
  const before = intake.seen.length;
  intake.fault = (_, number) => {
    if (number < before + requests) return null;
    tab.abort();
    return { cutAfter: 0 };
  };
  await begin({ ...asked, signal: tab.signal }, news).catch(() => undefined);
  intake.fault = () => null;
}

/** Another browser on another day, with the code alone. */
function anotherDay(news: FromWorker[] = []): Continuing {
  const connection = { signal: new AbortController().signal, timing: TIMING };
  return new Continuing(root.slice(), {
    api: intake.api,
    listed: listing(...organisations),
    connection,
    tell: (one) => news.push(one),
  });
}

function going(signal = new AbortController().signal) {
  return { signal, timing: TIMING };
}

/** Each session nonce with each number meets one ciphertext, of all that ever arrived under one header. */
function expectNoNonceTwice(): void {
  const met = new Map<string, Bytes>();
  for (const { headerHash, number, part } of intake.recorded) {
    const name = `${headerHash} ${toHex(part.slice(0, SESSION_NONCE_SIZE))} ${number}`;
    const before = met.get(name);
    expect(before === undefined || equal(before, part), name).toBe(true);
    met.set(name, part);
  }
}

/** What is stored opens for all whom it is for, with the check digits that the source was told. */
async function expectArrived(contents: readonly Bytes[], news: readonly FromWorker[], chosen = organisations) {
  const told = news.findLast((one) => one.kind === "checks");
  for (const { manifest, findKey } of chosen) {
    const opened = await open(intake.stored, manifest.id, findKey);
    expect(opened.files.every((file, at) => equal(file, contents[at] ?? file.subarray(1)))).toBe(true);
    const named = told?.checks.find(({ name }) => name === manifest.name);
    expect(named?.digits).toBe(await checkDigits(opened, opened.whole.hash));
  }
  expectNoNonceTwice();
}

describe("an upload that its source may have to continue", () => {
  it("is gone on with by its code alone, from where it was", async () => {
    const content = contentOf(SIZE);
    const begun: FromWorker[] = [];
    const chosen = organisations.slice(0, 2);
    await cut({ files: [fileOf(content)], chosen }, 3, begun);
    expect(begun.filter(({ kind }) => kind === "continuable")).toHaveLength(1);
    const arrived = intake.recorded.length;
    expect(arrived).toBeGreaterThan(0);
    const news: FromWorker[] = [];
    const later = anotherDay(news);

    const { uploads, refused } = await later.find();
    expect(refused).toBe(0);
    expect(uploads.map(({ files }) => files)).toEqual([[{ name: "видео.mp4", size: SIZE }]]);
    expect(uploads[0]?.chosen.toSorted()).toEqual(chosen.map(({ manifest }) => toHex(manifest.id)).toSorted());
    expect(await later.go(0, [fileOf(content)], going())).not.toBeNull();

    await expectArrived([content], news, chosen);
    expect(intake.recorded).toHaveLength(10); // each part was sent once, by one of the two
    expect(new Set(intake.recorded.map(({ part }) => toHex(part.slice(0, SESSION_NONCE_SIZE)))).size).toBe(2);
    expect(intake.drafts.size).toBe(1);
    expect((await anotherDay().find()).uploads).toEqual([]);
  });

  it("is gone on with once more after each cut", async () => {
    const content = contentOf(SIZE);
    await cut({ files: [fileOf(content)] }, 2);
    const news: FromWorker[] = [];
    for (let day = 0; day < 4; day++) {
      const tab = new AbortController();
      const later = anotherDay(news);
      await later.find();
      let parts = 0;
      intake.fault = ({ method, path }) => {
        if (method !== "PUT" || !path.startsWith("/parts/") || parts++ < 1 || day === 3) return null;
        tab.abort();
        return { cutAfter: 70_000 };
      };
      await later.go(0, [fileOf(content)], going(tab.signal)).catch(() => undefined);
    }
    await expectArrived([content], news);
  });

  it("takes the next place beside another one, and none when all four are taken", async () => {
    const news: FromWorker[] = [];
    for (let one = 0; one < 5; one++) await cut({ files: [fileOf(contentOf(SIZE + one))] }, one + 2, news);
    expect(news.filter(({ kind }) => kind === "continuable")).toHaveLength(4);
    const { uploads } = await anotherDay().find();
    expect(uploads.map(({ files }) => files[0]?.size)).toEqual([0, 1, 2, 3].map((more) => SIZE + more));
  });

  it("is found by no other code, and not when its source did not ask", async () => {
    await cut({ files: [fileOf(contentOf(SIZE))], asks: false }, 2);
    await cut({ files: [fileOf(contentOf(SIZE))] }, 2);
    const [unasked, asked] = [...intake.drafts.values()];
    expect(unasked?.placed.length).toBe(PLACED_SIZE);
    expect(asked?.placed.length).toBe(PLACED_SIZE);
    expect(unasked?.front.length).toBe(asked?.front.length);
    expect((await anotherDay().find()).uploads).toHaveLength(1);
    const other = new Continuing(random(32), {
      api: intake.api,
      listed: [],
      connection: going(),
      tell: () => undefined,
    });
    expect((await other.find()).uploads).toEqual([]);
  });

  it("may have arrived when another tab gives it up, which sends the files anew", async () => {
    const files = [fileOf(contentOf(SIZE))];
    intake.fault = ({ path }) => {
      if (path.startsWith("/parts/")) intake.drafts.clear();
      return null;
    };
    const news: FromWorker[] = [];
    expect(await begin({ files }, news).catch(codeOf)).toBe("no-draft");
    expect(news.filter(({ kind }) => kind === "doubt")).toEqual([{ kind: "doubt", accessCode: null }]);

    const missing = [{ file: 0, code: "no-draft" }];
    expect(await begin({ files, message: "слова" })).toMatchObject({ missing, inDoubt: true, elsewhere: false });
    // Without a capsule nobody else has the token.
    expect(await begin({ files, message: "слова", asks: false })).toMatchObject({ missing, inDoubt: false });
  });

  it("is given up by its place alone", async () => {
    await cut({ files: [fileOf(contentOf(SIZE))] }, 2);
    const later = anotherDay();
    await later.find();
    await later.giveUp(0);
    expect(intake.drafts.size).toBe(0);
  });
});

describe("files that are chosen again", () => {
  it("are matched by name and size, else by size alone, each once", () => {
    const table = [
      { name: "a.jpg", size: 3, type: "" },
      { name: "b.jpg", size: 3, type: "" },
      { name: "photo-1.jpg", size: 5, type: "" },
    ];
    const [a, b, c] = [fileOf(contentOf(3), "a.jpg"), fileOf(contentOf(3), "b.jpg"), fileOf(contentOf(5), "IMG_1.jpg")];
    expect(matched(table, [c, b, a])).toEqual([a, b, c]);
    expect(matched(table, [b, c])).toEqual([null, b, c]);
    expect(matched(table, [fileOf(contentOf(4), "a.jpg"), b])).toEqual([null, b, null]);
  });

  it("must all be there", async () => {
    const files = [fileOf(contentOf(SIZE), "a"), fileOf(contentOf(1000), "b")];
    await cut({ files }, 2);
    const news: FromWorker[] = [];
    const later = anotherDay(news);
    await later.find();
    expect(await later.go(0, files.slice(1), going())).toBeNull();
    expect(news).toEqual([{ kind: "unmatched", files: [0] }]);
  });

  it("end it when one of them has changed by one byte, and nothing of it is sent", async () => {
    const content = contentOf(SIZE);
    await cut({ files: [fileOf(content)] }, 3);
    const sent = intake.recorded.length;
    const news: FromWorker[] = [];
    const later = anotherDay(news);
    await later.find();
    expect(await later.go(0, [fileOf(flip(content, 10))], going())).toBeNull();
    expect(news).toEqual([{ kind: "differs" }]);
    expect(intake.recorded).toHaveLength(sent);
  });
});

describe("a server that lies", () => {
  const content = contentOf(SIZE);
  async function met(
    lie: Intake["lie"],
    before: (tokens: readonly string[]) => void = () => undefined,
  ): Promise<{ news: FromWorker[]; found: number; refused: number }> {
    await cut({ files: [fileOf(content)] }, 3);
    before([...intake.drafts.keys()]);
    intake.lie = lie;
    const news: FromWorker[] = [];
    const later = anotherDay(news);
    const { uploads, refused } = await later.find();
    if (uploads.length > 0)
      await later.go(0, [fileOf(content)], going()).catch((error) => news.push(codeOf(error) as never));
    expectNoNonceTwice();
    return { news, found: uploads.length, refused };
  }

  it("has another header or letter refused before it is used", async () => {
    const lies: ((opening: Bytes) => Bytes)[] = [
      (opening) => flip(opening, 300),
      (opening) => flip(opening, opening.length - 1),
      (opening) => concat(opening, new Uint8Array(1)),
      (opening) => opening.slice(0, 4000),
    ];
    for (const change of lies) {
      intake.drafts.clear();
      const { found, refused } = await met((about, truth) =>
        about === "opening" ? (change(truth as unknown as Bytes) as unknown as typeof truth) : truth,
      );
      expect([found, refused]).toEqual([0, 1]);
      intake.lie = (_, truth) => truth;
    }
  });

  it("cannot have the capsule of one upload vouch for another", async () => {
    await cut({ files: [fileOf(contentOf(1000), "other")] }, 2);
    const [first] = [...intake.drafts.keys()];
    const { refused } = await met((about, truth, token) => {
      if (about !== "opening" || token === first) return truth;
      const other = intake.drafts.get(first ?? "");
      return concat(other?.header ?? new Uint8Array(), other?.letter ?? new Uint8Array()) as unknown as typeof truth;
    });
    expect(refused).toBe(1);
  });

  it("that swaps a stored part is found out, and nothing more is sent", async () => {
    const { news } = await met(
      (_, truth) => truth,
      ([token]) => {
        const draft = intake.drafts.get(token ?? "");
        if (draft?.parts[0] !== undefined) draft.parts[0] = flip(draft.parts[0], 500);
      },
    );
    expect(news).toEqual([{ kind: "differs" }]);
  });

  it("cannot have it read ranges that do not fit", () => {
    const nonce = "00".repeat(16);
    const hash = "00".repeat(32);
    const many = Array.from({ length: 100 }, (_, at) => [2 * at, 1, nonce, hash]);
    for (const parts of [
      [[0, 11, nonce, hash]],
      [[10, 1, nonce, hash]],
      [
        [0, 2, nonce, hash],
        [1, 1, nonce, hash],
      ],
      [
        [3, 1, nonce, hash],
        [0, 1, nonce, hash],
      ],
      [[0, 0, nonce, hash]],
      [[-1, 1, nonce, hash]],
      [[0.5, 1, nonce, hash]],
    ])
      expect(() => parseRanges({ parts }, 10)).toThrow(Differs);
    expect(() => parseRanges({ parts: many }, 1000)).toThrow(Differs);
    for (const answer of [null, {}, { parts: 1 }, { parts: [[0, 1, nonce]] }, { parts: [[0, 1, "zz", hash]] }])
      expect(() => parseRanges(answer, 10)).toThrow("network");
    expect(parseRanges({ parts: [] }, 10)).toEqual([]);
  });

  it("leaves gaps that are all that it does not name", () => {
    const named = (first: number, count: number) => ({ first, count, nonce: new Uint8Array(), hash: new Uint8Array() });
    expect(gapsOf([], 3)).toEqual([[0, 3]]);
    expect(gapsOf([named(0, 3)], 3)).toEqual([]);
    expect(gapsOf([named(1, 1), named(2, 1), named(5, 2)], 9)).toEqual([
      [0, 1],
      [3, 2],
      [7, 2],
    ]);
  });
});

/** Another day: goes on with the first upload that is found, and closes the tab after so many runs. */
async function goOn(chosen: File, runs: number): Promise<void> {
  const tab = new AbortController();
  const later = anotherDay();
  const { uploads } = await later.find();
  let left = runs;
  intake.fault = ({ method }) => {
    if (method !== "PUT" || left-- > 0) return null;
    tab.abort();
    return { cutAfter: 70_000 };
  };
  if (uploads.length > 0) await later.go(0, [chosen], going(tab.signal)).catch(() => null);
  intake.fault = () => null;
}

/** What a server says of what it has: the truth, nothing, all without one part, or all under a nonce of before. */
type Said = "truth" | "nothing" | "all but one" | "one nonce";

function lieOf(said: Said, hidden: number): Intake["lie"] {
  return async (about, truth, token) => {
    if (about !== "ranges" || said === "truth") return truth;
    const parts = intake.drafts.get(token)?.parts ?? [];
    const known = parts.map((part, number) => (said === "nothing" || number === hidden ? undefined : part));
    const ranges = (await rangesOf(wholeRanges({ parts: known }))) as [number, number, string, string][];
    const used = toHex(intake.recorded[0]?.part.slice(0, SESSION_NONCE_SIZE) ?? new Uint8Array(16));
    const told = ranges.map(([first, count, nonce, hash]) => [first, count, said === "one nonce" ? used : nonce, hash]);
    return told as typeof truth;
  };
}

describe("one session nonce", () => {
  it("never meets two plaintexts, whatever files, tabs and server do", async () => {
    const step = fc.record({
      runs: fc.integer({ min: 0, max: 4 }),
      /** Which file is chosen: the first one, or one with another byte somewhere. */
      version: fc.integer({ min: 0, max: 2 }),
      said: fc.constantFrom<Said>("truth", "nothing", "all but one", "one nonce"),
      hidden: fc.integer({ min: 0, max: 4 }),
      tabs: fc.integer({ min: 1, max: 2 }),
    });
    const one = contentOf(4 * PART_SIZE + 7);
    const versions = [one, flip(one, 5), flip(one, 3 * PART_SIZE + 1)];
    const goAll = (file: File, runs: number, tabs: number): Promise<unknown> =>
      Promise.all(Array.from({ length: tabs }, () => goOn(file, runs)));
    const steps = fc.array(step, { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(steps, async (days) => {
        intake.drafts.clear();
        intake.recorded.length = 0;
        intake.lie = (_, truth) => truth;
        await cut({ files: [fileOf(one)] }, 2);
        for (const { runs, version, said, hidden, tabs } of days) {
          intake.lie = lieOf(said, hidden);
          await goAll(fileOf(versions[version] ?? one), runs, tabs);
        }
        expectNoNonceTwice();
        // Whatever is stored is one of the files, whole.
        const [reader] = organisations;
        for (const whole of intake.all) {
          const opened = await open(whole, reader?.manifest.id ?? random(16), reader?.findKey ?? (() => "too-late"));
          expect(versions.some((content) => equal(content, opened.files[0] ?? new Uint8Array()))).toBe(true);
        }
      }),
      { numRuns: 20, examples: [[[{ runs: 4, version: 2, said: "all but one", hidden: 3, tabs: 1 }]]] },
    );
  }, 120_000);
});
