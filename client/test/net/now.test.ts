import { describe, expect, it } from "vitest";

import { MAX_NOW } from "../../src/formats/base/limits.js";
import { readNow } from "../../src/net/now.js";
import { collectedOf } from "../../src/net/told.js";

const GOOD = { collected: { "00": null }, former: [], manifests: ["a"], named: ["00"], toll: { letter: 0 } };

describe("what changes from day to day", () => {
  it("is read", () => {
    const read = { manifests: ["a"], named: ["00"], notices: [], toll: { letter: 0 } };
    expect(readNow(JSON.stringify(GOOD))).toEqual(read);
    expect(readNow(JSON.stringify({ ...GOOD, notices: ["n"] }))).toEqual({ ...read, notices: ["n"] });
    expect(readNow(JSON.stringify({ ...GOOD, notices: [1] }))).toEqual(read);
    expect(readNow(JSON.stringify({ ...GOOD, notices: Array.from({ length: 9 }, () => "n") })).notices.length).toBe(8);
    expect(collectedOf(JSON.stringify(GOOD))).toEqual({ "00": null });
  });

  it.each([
    {},
    null,
    [],
    { ...GOOD, manifests: {} },
    { ...GOOD, manifests: [1] },
    { ...GOOD, named: "00" },
    { ...GOOD, named: [null] },
    { manifests: [], named: [] },
  ])("is nothing else than the protocol has: %j", (answer) => {
    expect(() => readNow(JSON.stringify(answer))).toThrow("internal");
  });

  it("has a bound", () => {
    expect(() => readNow(" ".repeat(MAX_NOW + 1))).toThrow("limit");
    expect(() => readNow("x")).toThrow("internal");
  });

  it.each(["x", "null", "1", "{}", '{"collected":1}'])("may tell nothing of days: %s", (text) => {
    expect(collectedOf(text)).toBeNull();
  });
});
