import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { fromBase64, fromHex, toHex } from "../../src/formats/base/bytes.js";
import { parse as parseDay } from "../../src/formats/base/days.js";
import type { Manifest } from "../../src/formats/manifest.js";
import { readNotices } from "../../src/worker/notices.js";

const { input, output } = JSON.parse(
  readFileSync(new URL("../../../tests/vectors/notice/plain.json", import.meta.url), "utf8"),
) as { input: { file: string }; output: { id: string; desk: string } };
const FILE = new TextDecoder().decode(fromBase64(input.file) ?? new Uint8Array());
const ID = fromHex(output.id) ?? new Uint8Array();
const DESK = fromBase64(output.desk) ?? new Uint8Array();
const DAY = parseDay("2026-11-25");

function manifest(change: Partial<Manifest> = {}): Manifest {
  return { id: ID, desk: DESK, name: "Alpha", ...change } as Manifest;
}

describe("notices", () => {
  it("are shown in the page's language, or in one of their own", async () => {
    const said = { organisation: toHex(ID), name: "Alpha", from: parseDay("2026-11-23") };
    expect(await readNotices([FILE], [manifest()], "ru", DAY)).toEqual([
      { ...said, language: "ru", words: "Новый мост:\nobfs4 192.0.2.1:80" },
    ]);
    expect(await readNotices([FILE], [manifest()], "fr", DAY)).toEqual([
      { ...said, language: "kk", words: "Жаңа көпір" },
    ]);
  });

  it("of other days, other keys, and other organisations are not", async () => {
    const other = new Uint8Array(32).fill(1);
    for (const day of ["2026-11-21", "2026-12-07"])
      expect(await readNotices([FILE], [manifest()], "ru", parseDay(day))).toEqual([]);
    expect(await readNotices([FILE], [manifest({ desk: other })], "ru", DAY)).toEqual([]);
    expect(await readNotices([FILE], [manifest({ id: other.slice(0, 16) })], "ru", DAY)).toEqual([]);
    expect(await readNotices([FILE], [], "ru", DAY)).toEqual([]);
  });

  it("that were changed are passed over, and the others stay", async () => {
    const changed = FILE.replace("192.0.2.1", "192.0.2.2");
    expect(changed).not.toBe(FILE);
    const shown = await readNotices([changed, "no notice", "", FILE], [manifest()], "ru", DAY);
    expect(shown.map(({ words }) => words)).toEqual(["Новый мост:\nobfs4 192.0.2.1:80"]);
  });
});
