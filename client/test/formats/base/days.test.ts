import { describe, expect, it } from "vitest";

import { format, parse } from "../../../src/formats/base/days.js";

describe("days", () => {
  it.each([
    ["1970-01-01", 0],
    ["2026-11-23", 20_780],
    ["2028-02-29", 21_243],
    ["0001-01-01", -719_162],
  ])("reads %s", (text, day) => {
    expect(parse(text)).toBe(day);
    expect(format(day)).toBe(text);
  });

  it.each([
    "2026-02-29",
    "2026-13-01",
    "2026-1-1",
    "0000-01-01",
    "2026-11-23 ",
    "+002026-11-23",
    "２026-11-23",
    "",
    5,
    null,
  ])("rejects %j", (text) => {
    expect(() => parse(text)).toThrow("malformed");
  });
});
