// The offline page and its script fit together, and nothing in it asks for anything.

import { readdirSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { CLIENT_CODES, FORMAT_CODES, PROTOCOL_CODES } from "../../src/errors.js";

const TEMPLATES = new URL("../../../templates/offline/", import.meta.url);
const SOURCES = new URL("../../src/", import.meta.url);
/** What it shares with the pages of a server. */
const BOTH = new URL("../../../templates/both/", import.meta.url);
const all = [TEMPLATES, BOTH].flatMap((folder) =>
  readdirSync(folder).map((name) => [name, readFileSync(new URL(name, folder), "utf8")] as const),
);
const page = all.map(([, text]) => text).join("\n");

function source(name: string): string {
  return readFileSync(new URL(`${name}.ts`, SOURCES), "utf8");
}

const script = [
  ...["offline", "inbox", "saving", "leaving", "lists", "qr_view"].map((name) => `offline/${name}`),
  ...["form", "code_field", "texts", "screen", "choosing/whom", "choosing/file_names"].map((name) => `page/${name}`),
  ...["arrived", "code_boxes", "items"].map((name) => `page/sending/${name}`),
].map(source);

function found(pattern: RegExp, texts: readonly string[] = script): string[] {
  const names = texts.flatMap((text) => [...text.matchAll(pattern)].map(([, one]) => one ?? ""));
  return [...new Set(names)].sort();
}

/** Of modules that are shared: pieces and words that only a page with a server has. */
const ELSEWHERE = [
  "other", // who finished it
  "later",
  "takesNothing",
  "look",
  "photos",
  "said",
  "photosUnread",
  "lostFull",
  "lostOther",
  "lostStopped",
  "lostDiffers",
];
const STEPS = ["copy-step", "check-step", "done-step", "first-done", "back-done", "declined", "declined-too"];

function unlessElsewhere(names: readonly string[]): string[] {
  return names.filter((name) => !ELSEWHERE.includes(name));
}

describe("templates of the offline page", () => {
  it.each(all)("%s has no field and no address", (_, text) => {
    expect(text).not.toMatch(
      /<(?:input|textarea|select|form|img|iframe|object|embed|link)\b|\son[a-z]+=|\sstyle=|\ssrc=|javascript:|https?:/i,
    );
  });

  it("have all the words that the script asks for, and no more", () => {
    const listed = all.filter(([name]) => name === "_words.html").map(([, text]) => text);
    const words = found(/\sdata-([a-z-]+)=/g, listed)
      .map((one) => one.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()))
      .sort();
    const asked = [
      ...found(/[tT]exts\.(?:get|counted)\("([a-zA-Z]+)"/g),
      ...found(/problem = "([a-zA-Z]+)"/g),
      ...found(/\? "([a-z][a-zA-Z]+)" : "[a-z][a-zA-Z]+", files/g),
      ...found(/: "([a-z][a-zA-Z]+)", files/g),
      "months", // of days, in a language that Chromium does not know
    ];

    expect(unlessElsewhere([...new Set(asked)].sort())).toEqual(
      words.filter((word) => word !== "lostFile" || asked.includes(word)),
    );
  });

  it("have all the screens that the script asks for, and their pieces", () => {
    const asked = found(/"(view-[a-z-]+)"/g);
    const screens = found(/<template id="(view-[a-z-]+)"/g, [page]);
    const pieces = found(/data-part="([a-z-]+)"/g, [page]);

    expect(asked).toEqual(screens);
    expect(unlessElsewhere(found(/part\("([a-z-]+)"\)/g)).filter((name) => !pieces.includes(name))).toEqual([]);
    expect(STEPS.filter((name) => !pieces.includes(name))).toEqual([]);
  });

  it("name only errors that exist", () => {
    const known: string[] = [...FORMAT_CODES, ...PROTOCOL_CODES, ...CLIENT_CODES, "other"];
    const named = found(/data-code="([a-z -]+)"/g, [page]).flatMap((codes) => codes.split(" "));

    expect(named.filter((code) => !known.includes(code))).toEqual([]);
  });
});
