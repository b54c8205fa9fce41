// Page and script fit together, and the page's source holds no field and no inline script.

import { readdirSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { CLIENT_CODES, FORMAT_CODES, PROTOCOL_CODES } from "../../src/errors.js";

const TEMPLATES = new URL("../../../templates/source/", import.meta.url);
const SOURCES = new URL("../../src/", import.meta.url);
const BOTH = new URL("../../../templates/both/", import.meta.url);
const all = [TEMPLATES, BOTH].flatMap((folder) =>
  readdirSync(folder).map((name) => [name, readFileSync(new URL(name, folder), "utf8")] as const),
);

/** A template with what it includes. */
function whole(name: string): string {
  const text = readFileSync(new URL(`../${name}`, TEMPLATES), "utf8");
  return text.replace(/\{% include "((?:source|both)\/[a-z_.]+)" %\}/g, (_, included: string) => whole(included));
}

function scriptsOf(names: readonly string[]): string {
  return names.map((name) => readFileSync(new URL(`page/${name}.ts`, SOURCES), "utf8")).join("\n");
}

const MODULES = [
  ...[
    "choosing/whom",
    "choosing/listed",
    "choosing/file_names",
    "choosing/photos",
    "leave",
    "first/begun",
    "first/door",
  ],
  ...[
    "page",
    "screen",
    "form",
    "delivery",
    "code_field",
    "texts",
    "opening",
    "notice",
    "collected",
    "start",
    "first/first_field",
  ],
  ...["arrived", "code_boxes", "items", "waiting"].map((name) => `sending/${name}`),
  ...["answers", "download", "unread", "uploads"].map((name) => `opened/${name}`),
];
/** Pieces that are asked for by names which are put together. */
const STEPS = ["copy-step", "check-step", "done-step", "first-done", "back-done", "declined", "declined-too"];
/** Words for all other codes: when the message may have arrived, and when it did not; and for what becomes of the code. */
const OTHERS = ["other", "unsent", "keep", "later", "void"];
const script = scriptsOf(MODULES);

function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, one]) => one ?? "").sort();
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}

describe("templates", () => {
  it.each(all)("%s has no inline script or style, no foreign address", (_, text) => {
    // One style stands in the frame, whose hash the policy names.
    expect(text.replace("<style>{{ first_style }}</style>", "")).not.toMatch(
      /<(?:img|iframe|object|embed|style)\b|\son[a-z]+=|\sstyle=|javascript:|https?:/i,
    );
    expect(text).not.toMatch(/<script(?! src="\{\{ static\()/);
  });

  it.each(all.filter(([name]) => name !== "plain.html"))("%s has no field", (_, text) => {
    expect(text).not.toMatch(/<(?:input|textarea|select|form)\b/i);
  });

  it("take no unsealed words where no script seals them", () => {
    const plain = readFileSync(new URL("plain.html", TEMPLATES), "utf8");
    // Sealed files; a request, as a file or its text.
    expect(found(plain, /<(?:input|textarea|select)\b[^>]* name="([a-z]+)"/g)).toEqual(["file", "text", "tip"]);
  });

  it.each(all.filter(([name]) => !(name.startsWith("_") || ["base.html", "leave.html"].includes(name))))(
    "%s stands in the frame",
    (_, text) => {
      expect(text).toMatch(/^\{% extends "source\/base\.html" %\}/);
    },
  );

  it("start with the way out", () => {
    const base = readFileSync(new URL("base.html", TEMPLATES), "utf8");

    expect(base).toMatch(/<body>\s*<header class="bar">\s*<b>.*<\/b>\s*<a class="leave" id="leave" href=/);
  });

  const page = whole("source/start.html");

  it("have all the words that the script asks for, and no more", () => {
    const words = found(page.slice(page.indexOf('id="words"')), /\sdata-([a-z-]+)=/g).map((one) =>
      one.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    );
    const direct = found(script, /(?:texts|this)\.(?:get|counted)\("([a-zA-Z]+)"/g);
    const indirect = [
      ...found(script, /problem = "([a-zA-Z]+)"/g),
      ...found(script, /"((?:connection|lost)[A-Z][a-zA-Z]+)"/g),
      ...found(script, /"(coversFiles[a-zA-Z]*)"/g),
      ...found(script, /(?:words|source\?\.dataset)\["([a-zA-Z]+)"\]/g),
    ];

    expect(unique([...direct, ...indirect])).toEqual(words.sort());
  });

  it("let no browser send a code, an answer or a photo's place to a service that translates pages", () => {
    const pages = [page, readFileSync(new URL("../offline/_answers.html", TEMPLATES), "utf8")];
    const secret = pages.flatMap((one) => one.match(/<[^>]*data-part="(?:digits|words|text|said)"[^>]*>/g) ?? []);

    expect(secret).toHaveLength(5);
    for (const one of secret) expect(one).toContain(' translate="no"');
  });

  it("have all the screens and pieces that the script asks for", () => {
    const pieces = unique(found(page, /data-part="([a-z-]+)"/g));
    const ways = [/part\("([a-z-]+)"\)/g, /part\(asked \? "([a-z-]+)"/g, /"\[data-part=([a-z-]+)\]"/g];
    const asked = [...ways.flatMap((way) => found(script, way)), ...STEPS];
    const screens = found(page, /<template id="([a-z-]+)"/g);

    expect(unique(found(script, /"(view-[a-z-]+)"/g))).toEqual(screens);
    expect(unique(asked)).toEqual(pieces);
  });

  it("name only errors that exist, and have words for the others", () => {
    const named = found(page, /data-code="([a-z -]+)"/g).flatMap((codes) => codes.split(" "));
    const known: string[] = [...FORMAT_CODES, ...PROTOCOL_CODES, ...CLIENT_CODES];

    expect(named.filter((code) => !(OTHERS.includes(code) || known.includes(code)))).toEqual([]);
    expect(named).toEqual(expect.arrayContaining(OTHERS));
  });
});

describe("sources", () => {
  const sources = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));

  it("are all looked at", () => {
    expect(sources).toEqual(
      expect.arrayContaining(["messages.ts", "page/page.ts", "worker/send.ts", "net/http.ts", "formats/base/bytes.ts"]),
    );
  });

  it.each(
    sources.map(
      (name) => [name, readFileSync(new URL(name, SOURCES), "utf8").replace(/^ *(?:\/\/|\/?\*).*$/gm, "")] as const,
    ),
  )("%s stores nothing, logs nothing, and has no other source of random numbers", (_, text) => {
    expect(text).not.toMatch(
      /console\.|localStorage|sessionStorage|indexedDB|document\.cookie|caches\.|Math\.random|innerHTML|outerHTML|insertAdjacentHTML|\beval\(|(?::|<|\bas) *any\b/,
    );
  });

  it("give fields no name and no form", () => {
    expect(script).not.toMatch(/\.name = |setAttribute\("name"|createElement\("form"\)|element\("form"/);
  });
});
