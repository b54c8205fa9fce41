// Page and script fit together, and the page's source holds no field and no inline script.

import { readdirSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { CLIENT_CODES, FORMAT_CODES, PROTOCOL_CODES } from "../src/errors.js";

const TEMPLATES = new URL("../../templates/source/", import.meta.url);
const SOURCES = new URL("../src/", import.meta.url);
const send = readFileSync(new URL("send.html", TEMPLATES), "utf8");
const scripts = ["page.ts", "form.ts", "views.ts", "words.ts"].map((name) => readFileSync(new URL(name, SOURCES), "utf8")).join("\n");
const all = readdirSync(TEMPLATES).map((name) => [name, readFileSync(new URL(name, TEMPLATES), "utf8")] as const);

function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, one]) => one ?? "").sort();
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}

describe("templates", () => {
  it.each(all)("%s has no field, no inline script or style, no foreign address", (_, text) => {
    expect(text).not.toMatch(/<(?:input|textarea|select|form|img|iframe|object|embed|style)\b|\son[a-z]+=|\sstyle=|javascript:|https?:/i);
    expect(text).not.toMatch(/<script(?![^>]*\ssrc="\{\{ static\()/);
  });

  it.each(all.filter(([name]) => !name.startsWith("_") && !["base.html", "leave.html"].includes(name)))("%s stands in the frame", (_, text) => {
    expect(text).toMatch(/^\{% extends "source\/base\.html" %\}/);
  });

  it("start with the way out", () => {
    const base = readFileSync(new URL("base.html", TEMPLATES), "utf8");

    expect(base).toMatch(/<body>\s*<a class="leave" id="leave" href=/);
  });

  it("send.html has all the words that the script asks for, and no more", () => {
    const words = found(send.slice(send.indexOf('id="words"')), /\sdata-([a-z-]+)=/g).map((name) => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()));
    const direct = found(scripts, /words\.get\("([a-zA-Z]+)"/g);
    const indirect = [...found(scripts, /problem = "([a-zA-Z]+)"/g), ...found(scripts, /"(line[A-Z][a-zA-Z]+)"/g), "againRight", "againWrong"];

    expect(unique([...direct, ...indirect])).toEqual(words.sort());
  });

  it("send.html has all the screens and pieces that the script asks for", () => {
    const pieces = unique(found(send, /data-part="([a-z-]+)"/g));

    expect(unique(found(scripts, /view\("([a-z-]+)"\)/g))).toEqual(found(send, /<template id="([a-z-]+)"/g));
    expect(unique([...found(scripts, /part\("([a-z-]+)"\)/g)])).toEqual(pieces);
  });

  it("send.html names only errors that exist, and has words for the others", () => {
    const named = found(send, /data-code="([a-z -]+)"/g).flatMap((codes) => codes.split(" "));
    const known: string[] = [...FORMAT_CODES, ...PROTOCOL_CODES, ...CLIENT_CODES];

    expect(named.filter((code) => code !== "other" && !known.includes(code))).toEqual([]);
    expect(named).toContain("other");
  });
});

describe("sources", () => {
  it.each(readdirSync(SOURCES).map((name) => [name, readFileSync(new URL(name, SOURCES), "utf8").replace(/^ *(?:\/\/|\/?\*).*$/gm, "")] as const))(
    "%s stores nothing, logs nothing, and has no other source of random numbers",
    (_, text) => {
      expect(text).not.toMatch(/console\.|localStorage|sessionStorage|indexedDB|document\.cookie|caches\.|Math\.random|innerHTML|outerHTML|insertAdjacentHTML|\beval\(|(?::|<|\bas) *any\b/);
    },
  );

  it("give fields no name and no form", () => {
    expect(scripts).not.toMatch(/\.name = |setAttribute\("name"|createElement\("form"\)|element\("form"/);
  });
});
