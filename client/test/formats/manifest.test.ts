import { beforeAll, describe, expect, it } from "vitest";

import { concat, fromUtf8, utf8 } from "../../src/formats/base/bytes.js";
import { keyId } from "../../src/formats/base/ids.js";
import { random } from "../../src/formats/base/primitives.js";
import { check, checkReplaces, currentKey, type Manifest, parse } from "../../src/formats/manifest.js";
import { flip, makeOrganisation, type TestOrganisation } from "../support/tools.js";
import { xwingPublic } from "./base/hpke_opening.js";
import { encodeManifest } from "./encoders.js";

const FROM = 20_780;
let kibhr: TestOrganisation;

beforeAll(async () => {
  kibhr = await makeOrganisation("kibhr", FROM);
});

describe("Key manifest", () => {
  it("reads and writes itself", async () => {
    const manifest = await parse(kibhr.file);

    expect(encodeManifest(manifest)).toEqual(kibhr.file);
    expect(manifest.organisation).toBe("kibhr");
    expect(manifest.keys.map(({ from, until }) => [from, until])).toEqual([
      [FROM, FROM + 14],
      [FROM + 14, FROM + 28],
    ]);
  });

  it("keeps members that it does not know, under the signature", async () => {
    const file = await kibhr.sign({ ...kibhr.manifest, extra: { roster: ["a"] } });
    const manifest = await parse(file);

    expect(manifest.extra).toEqual({ roster: ["a"] });
    expect(encodeManifest(manifest)).toEqual(file);
    await expect(
      parse(utf8((fromUtf8(file) ?? "").replace('"roster": [\n    "a"', '"roster": [\n    "b"'))),
    ).rejects.toThrow("bad-signature");
  });

  it("rejects any flipped bit", async () => {
    for (let at = 0; at < kibhr.file.length; at += 97) {
      await expect(parse(flip(kibhr.file, at))).rejects.toThrow(/malformed|bad-signature/);
    }
  });

  it.each<[string, Partial<Manifest>, string]>([
    ["a name with a control character", { name: "a\u0085b" }, "malformed"],
    ["an empty name", { name: "" }, "malformed"],
    ["a name of 201 bytes", { name: `${"я".repeat(100)}a` }, "malformed"],
    ["a short name with a slash", { organisation: "a/b" }, "malformed"],
    ["a country of one letter", { country: "K" }, "malformed"],
    ["a language that is none", { languages: ["ru_RU"] }, "malformed"],
    ["too many languages", { languages: Array.from({ length: 17 }, () => "ru") }, "malformed"],
    ["a life of 92 days", { until: FROM + 92 }, "malformed"],
    ["a life of no day", { until: FROM }, "malformed"],
    ["a serial of zero", { serial: [0, 1] }, "malformed"],
    ["a serial that is too high", { serial: [1, 2 ** 31] }, "malformed"],
    ["no receiving key", { keys: [] }, "malformed"],
    ["a critical member", { critical: ["roster"] }, "unknown-critical"],
  ])("rejects %s", async (_, changes, code) => {
    await expect(parse(await kibhr.sign({ ...kibhr.manifest, ...changes }))).rejects.toThrow(code);
  });

  it("rejects receiving keys that are repeated, out of order, misnamed or over before they start", async () => {
    const [first, second] = kibhr.manifest.keys;
    if (first === undefined || second === undefined) throw new Error("two keys were made");
    const rejects = async (...keys: readonly (typeof first)[]): Promise<void> => {
      await expect(parse(await kibhr.sign({ ...kibhr.manifest, keys }))).rejects.toThrow("malformed");
    };

    await rejects(first, first);
    await rejects(second, first);
    await rejects({ ...first, id: second.id });
    await rejects({ ...first, until: first.from });
  });

  it("rejects another version after the structure and before the signature", async () => {
    const text = fromUtf8(kibhr.file) ?? "";

    await expect(parse(utf8(text.replace('"version": 1', '"version": 2')))).rejects.toThrow(/^version$/);
    await expect(parse(utf8(text.replace('"version": 1', '"version": "1"')))).rejects.toThrow("malformed");
  });

  it("rejects what is larger than 64 KiB before it looks inside", async () => {
    await expect(parse(new Uint8Array(65_537))).rejects.toThrow(/^limit$/);
  });

  it("rejects the signature of another organisation", async () => {
    const other = await makeOrganisation("ili", FROM);

    await expect(parse(await other.sign(kibhr.manifest))).rejects.toThrow("bad-signature");
  });

  it("is good from one day before its first day until the day before its end", () => {
    const { manifest } = kibhr;

    expect(() => check(manifest, FROM - 2)).toThrow("not-yet-valid");
    expect(() => check(manifest, FROM - 1)).not.toThrow();
    expect(() => check(manifest, FROM + 55)).not.toThrow();
    expect(() => check(manifest, FROM + 56)).toThrow("expired");
  });

  it("names the receiving key that began last", () => {
    const { manifest } = kibhr;
    const [first, second] = manifest.keys;

    expect(currentKey(manifest, FROM - 1)).toBe(first);
    expect(currentKey(manifest, FROM + 13)).toBe(first);
    expect(currentKey(manifest, FROM + 14)).toBe(second);
    expect(currentKey(manifest, FROM + 27)).toBe(second);
    expect(() => currentKey(manifest, FROM + 28)).toThrow("no-current-key");
    expect(() => currentKey(manifest, FROM - 2)).toThrow("no-current-key");
  });

  it("gives way to a higher serial of the same identity only", async () => {
    const { manifest } = kibhr;
    const other = await makeOrganisation("kibhr", FROM);

    expect(() => checkReplaces({ ...manifest, serial: [1, 2] }, manifest)).not.toThrow();
    expect(() => checkReplaces({ ...manifest, serial: [2, 1] }, { ...manifest, serial: [1, 9] })).not.toThrow();
    expect(() => checkReplaces(manifest, manifest)).toThrow("older-serial");
    expect(() => checkReplaces({ ...manifest, serial: [1, 9] }, { ...manifest, serial: [2, 1] })).toThrow(
      "older-serial",
    );
    expect(() => checkReplaces(other.manifest, manifest)).toThrow("identity-changed");
  });

  it("makes ids from labels and keys", async () => {
    const publicKey = await xwingPublic(random(32));

    expect(await keyId(publicKey)).not.toEqual(await keyId(concat(publicKey.slice(1), publicKey.slice(0, 1))));
    expect((await keyId(publicKey)).length).toBe(16);
  });
});
