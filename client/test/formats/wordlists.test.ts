// Access codes as words: every list, forgiving reading, and what is said of typing errors. What both languages must
// agree on is in tests/vectors/passphrase.

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { digits, generate, parse, words } from "../../src/formats/access_code.js";
import { fold, type ListName, languageOf, PINS, WordList } from "../../src/formats/wordlists.js";
import { wordListFile, wordLists } from "../support/tools.js";
import { doubt } from "./doubt.js";

const lists = await wordLists();
const [english, russian, french] = lists as [WordList, WordList, WordList];
const KAZAKH: Readonly<Record<string, string>> = {
  а: "ә",
  г: "ғ",
  к: "қ",
  н: "ң",
  о: "ө",
  у: "ү",
  х: "һ",
  и: "і",
  е: "ё",
};

describe("words", () => {
  it("spell the access code in every list, and read back however they are typed", async () => {
    const gap = fc.string({ unit: fc.constantFrom(..."-._, \t\n\u00a0\u3000"), minLength: 1, maxLength: 3 });
    const form = fc.constantFrom<(word: string) => string>(
      (word) => word,
      (word) => word.toUpperCase(),
      (word) => word.normalize("NFD"),
      (word) => fold(word),
      (word) => word.replace(/\p{L}/gu, (letter) => KAZAKH[letter] ?? letter),
    );
    const styles = fc.array(fc.tuple(form, gap), { minLength: 11, maxLength: 11 });

    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...lists), styles, async (list, style) => {
        const accessCode = await generate();
        const spelt = words(accessCode, list);
        const typed = spelt.map((word, at) => (style[at]?.[0](word) ?? "") + (style[at]?.[1] ?? "")).join("");

        expect(await parse(typed, lists)).toEqual(accessCode);
        expect(doubt(typed, lists)).toMatchObject({
          unit: "words",
          count: spelt.length,
          expected: list.length,
          wrong: [],
        });
      }),
    );
  });

  it("are found by their only beginning, and by themselves before that", () => {
    for (const list of lists) {
      for (const [number, word] of list.words.entries()) expect(list.find(fold(word))).toBe(number);
      expect(list.words.length ** (list.length - 1)).toBeLessThan(2 ** 116);
    }
    expect(english.find("abac")).toBe(0);
    expect(english.find("aba")).toBe(0);
    expect(english.find("ab")).toBeNull();
    expect(english.find("a")).toBeNull();
    expect(english.find("")).toBeNull();
    expect(english.divide("T SHIRT, yo-yo yoyo")).toEqual(["t-shirt", "yo-yo", "yoyo"]);
  });

  it("are refused with the error of all wrong access codes", async () => {
    const accessCode = await generate();
    const mixed = [...words(accessCode, french).slice(0, 5), ...words(accessCode, russian).slice(5)].join(" ");

    await expect(parse(mixed, lists)).rejects.toThrow(/^bad-passphrase$/);
    await expect(parse(words(accessCode, english).join(" "))).rejects.toThrow(/^bad-passphrase$/);
    await expect(parse(words(accessCode, english).join(" "), [russian])).rejects.toThrow(/^bad-passphrase$/);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...lists.flatMap((list) => list.words)), { maxLength: 12 }),
        async (some) => {
          await expect(parse(some.join(" "), lists)).rejects.toThrow(/^bad-passphrase$/);
        },
      ),
    );
  });

  it("that are wrong are pointed out by their numbers", async () => {
    const spelt = words(await generate(), russian);
    const typed = spelt.map((word, at) => (at === 2 || at === 7 ? "щщщщ" : word)).join(" ");

    expect(doubt(typed, lists)).toEqual({ unit: "words", language: "ru", count: 11, expected: 11, wrong: [2, 7] });
    expect(doubt("zoom", lists)).toEqual({ unit: "words", language: "en", count: 1, expected: 9, wrong: [0] });
    expect(doubt("zoom", [])).toMatchObject({ unit: "words", count: 0 });
  });

  it.each([
    ["", 0, []],
    ["005191 123456", 2, [0]],
    ["010385", 1, [0]],
    ["006000 12345 1234567 123456", 4, [1, 2]],
    ["006000-1234O6_123456", 3, [1]],
    ["006000123456", 2, []],
    ["00600012345", 2, [1]],
    ["0-0-6-0-0-0-1", 2, [1]],
    ["٠٠٦٠٠٠ ١٢٣٤٥٦", 2, []],
  ])("digits %j: which group is wrong", (typed, count, wrong) => {
    expect(doubt(typed, lists)).toEqual({ unit: "digits", language: "", count, expected: 6, wrong });
  });

  it("and digits that are right leave no doubt", async () => {
    const accessCode = await generate();
    for (const typed of [digits(accessCode), ...lists.map((list) => words(accessCode, list).join(" "))]) {
      expect(doubt(typed, lists).wrong).toEqual([]);
    }
  });
});

describe("lists", () => {
  it("are those that are pinned, or none", async () => {
    for (const name of Object.keys(PINS) as ListName[]) {
      const file = wordListFile(name);
      expect((await WordList.read(name, file)).words.join("\n")).toBe(new TextDecoder().decode(file).trimEnd());
      await expect(WordList.read(name, file.slice(1))).rejects.toThrow(/^malformed$/);
    }
    await expect(WordList.read("en", wordListFile("fr"))).rejects.toThrow(/^malformed$/);
    await expect(WordList.read("en", Uint8Array.of(255))).rejects.toThrow(/^malformed$/);
  });

  it("belong to languages", () => {
    expect(["en", "ru-KZ", "FR", "es-419", "kk", "", "toString"].map(languageOf)).toEqual([
      "en",
      "ru",
      "fr",
      "es",
      null,
      null,
      null,
    ]);
  });
});
