import { describe, expect, it } from "vitest";

import { plainNames, shownName } from "../../src/page/choosing/file_names.js";

function file(name: string, type = ""): File {
  return new File(["a"], name, { type });
}

describe("names as they are shown", () => {
  it("what turns a text is seen, and the extension stands at the end", () => {
    expect(shownName("photo\u202egpj.exe")).toBe("photo⟨U+202E⟩gpj.exe");
    for (const sign of ["\u061c", "\u200e", "\u200f", "\u202a", "\u202d", "\u2066", "\u2069"])
      expect(shownName(`a${sign}b`)).toMatch(/^a⟨U\+[0-9A-F]{4}⟩b$/);
  });

  it("of a long one beginning and end are seen, and no more lines than a phone has room for", () => {
    const shown = shownName(`${"Площадь ".repeat(30)}5 января.mp4`);
    expect([...shown].length).toBe(61);
    expect(shown.startsWith("Площадь Площадь ")).toBe(true);
    expect(shown.endsWith("5 января.mp4")).toBe(true);
  });

  it("all other names stay", () => {
    for (const name of ["Площадь.jpg", "صورة.jpg", "a b.c", "👨\u200d👩.png"]) expect(shownName(name)).toBe(name);
  });
});

describe("plain names", () => {
  it("say kind and number, and keep the extension", () => {
    const files = [
      file("VID_20220105_2213.MP4", "video/mp4"),
      file("Площадь.JPG", "image/jpeg"),
      file("IMG_1.heic", "image/heic"),
      file("Asel Ivanova", ""),
      file("list.of.names", ""),
    ];
    expect(plainNames(files)).toEqual(["video-1.mp4", "photo-1.jpg", "photo-2.heic", "file-1", "file-2.names"]);
  });

  it("take nothing of a name that is not an extension", () => {
    expect(plainNames([file("a.Иванова"), file("b.averylongending"), file(".profile")])).toEqual([
      "file-1",
      "file-2",
      "file-3.profile",
    ]);
  });
});
