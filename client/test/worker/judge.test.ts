import { readFileSync } from "node:fs";

import { beforeAll, describe, expect, it } from "vitest";

import { digits, generate, parse, words } from "../../src/formats/access_code.js";
import type { Bytes } from "../../src/formats/base/bytes.js";
import { type ListName, PINS, WordList } from "../../src/formats/wordlists.js";
import { isWords, judge, judgeDigits, readTyped } from "../../src/worker/judge.js";

const other = (digit: string): string => String((Number(digit) + 1) % 10);

/** A new access code whose digits are so. */
async function codeWhere(isSo: (written: string) => boolean): Promise<Bytes> {
  let accessCode = await generate();
  while (!isSo(digits(accessCode))) accessCode = await generate();
  return accessCode;
}

describe("digits as they are typed", () => {
  it("are unfinished at each keystroke and right at the last, however they are divided", async () => {
    const accessCode = await generate();
    const written = digits(accessCode);
    for (const spelling of [
      written,
      written.replace(/ /g, ""),
      written.replace(/ /g, "-"),
      (written.replace(/ /g, "").match(/.{4}/g) ?? []).join(" "),
    ]) {
      for (let end = 1; end < spelling.length; end++) {
        const { state, count } = await judgeDigits(spelling.slice(0, end), null);
        expect([spelling.slice(0, end), state]).toEqual([spelling.slice(0, end), "unfinished"]);
        expect(count).toBe(spelling.slice(0, end).replace(/[ -]/g, "").length);
      }
      expect(await judgeDigits(spelling, null)).toEqual({
        unit: "digits",
        state: "right",
        count: 36,
        all: 36,
        at: null,
      });
      expect(await judgeDigits(spelling, written)).toMatchObject({ state: "right" });
      expect(await readTyped(spelling)).toEqual(accessCode);
    }
  });

  it("name the group that is not the one that was shown, as soon as it is whole", async () => {
    const groups = digits(await generate()).split(" ");
    for (let at = 0; at < 6; at++) {
      const wrong = groups.map((group, i) => (i === at ? `${group.slice(0, 5)}${other(group[5] ?? "")}` : group));
      const expected = { state: "wrong", at: at + 1 };

      expect(await judgeDigits(wrong.slice(0, at + 1).join(" "), groups.join(" "))).toMatchObject(expected);
      expect(await judgeDigits(wrong.join(""), groups.join(" "))).toMatchObject(expected);
    }
  });

  it("name a group that is too short, too long, or holds something else", async () => {
    for (const wrong of ["006345 01234 012345", "006345 0123456 0", "006345 01a345 0", "006345 0123456"]) {
      expect(await judgeDigits(wrong, null)).toMatchObject({ state: "wrong", at: 2 });
    }
  });

  it("are digits also with letters among them: those that look like one are read as such, few or half of them", async () => {
    const letters: Readonly<Record<string, string>> = { 0: "O", 1: "l", 3: "З" };
    for (const isMost of [false, true]) {
      const accessCode = await codeWhere((code) => (code.match(/[013]/g) ?? []).length >= 18 === isMost);
      const written = digits(accessCode);
      const wrong = written.replace(/[013]/g, (digit) => letters[digit] ?? digit);
      for (const spelling of [wrong, wrong.replace(/ /g, ""), wrong.toLowerCase()]) {
        expect(isWords(spelling)).toBe(false);
        expect(await judge(spelling, [], null)).toMatchObject({ unit: "digits", state: "right" });
        expect(await readTyped(spelling)).toEqual(accessCode);
      }
      const mistyped = `${written.slice(0, 15)}w${written.slice(16)}`;
      expect(await judge(mistyped, [], null)).toMatchObject({ unit: "digits", state: "wrong", at: 3 });
    }
    expect(["1. avenging", "10 hyp 11 vil", "av", "01 ав 02 ги", "oil"].map(isWords)).not.toContain(false);
  });

  it("may be numbered as the page shows them", async () => {
    const accessCode = await generate();
    const groups = digits(accessCode).split(" ");
    for (const [between, behind] of [
      [". ", " "],
      [" ", "\n"],
      [") ", ", "],
    ]) {
      const typed = groups.map((group, at) => `${at + 1}${between}${group}`).join(behind);
      expect([typed, (await judgeDigits(typed, null)).state]).toEqual([typed, "right"]);
      expect(await readTyped(typed)).toEqual(accessCode);
    }
  });

  it("name the first group when no access code begins so", async () => {
    const rest = digits(await generate()).slice(6);
    for (const first of ["005191", "010385", "999999"]) {
      expect(await judgeDigits(`${first}${rest}`, null)).toMatchObject({ state: "wrong", at: 1 });
    }
  });

  it("say that something is wrong when the check does not hold, and name nothing that is not known", async () => {
    const written = digits(await generate());
    const wrong = `${written.slice(0, -1)}${other(written.at(-1) ?? "")}`;

    expect(await judgeDigits(wrong, null)).toMatchObject({ state: "wrong", at: null });
    expect(await readTyped(wrong)).toBe(null);
  });

  it("may be those of another script", async () => {
    const written = digits(await generate());
    const arabic = written.replace(/[0-9]/g, (digit) => String.fromCodePoint(0x6_60 + Number(digit)));

    expect(await judgeDigits(arabic, written)).toMatchObject({ state: "right", at: null });
  });

  it("are told apart from words by the first letter", () => {
    expect(["", "12", "1a", "абажур", "٣"].map(isWords)).toEqual([false, false, true, true, false]);
  });
});

describe("words as they are typed", () => {
  const lists: WordList[] = [];

  beforeAll(async () => {
    for (const name of Object.keys(PINS) as ListName[]) {
      const file = readFileSync(new URL(`../../../tipbox/formats/wordlists/${name}.txt`, import.meta.url));
      lists.push(await WordList.read(name, new Uint8Array(file)));
    }
  });

  it("are right in each list, with and without the access code being known, and unfinished on the way", async () => {
    for (const list of lists) {
      const accessCode = await generate();
      const spelled = words(accessCode, list);
      for (const expected of [accessCode, null]) {
        for (let end = 1; end < spelled.length; end++) {
          const { state, count } = await judge(spelled.slice(0, end).join(" "), lists, expected);
          expect([list.name, end, state, count]).toEqual([list.name, end, "unfinished", end]);
        }
        const right = { unit: "words", state: "right", count: list.length, all: list.length, at: null };
        expect(await judge(spelled.join(" "), lists, expected)).toEqual(right);
        expect(await judge(spelled.join("-").toUpperCase(), lists, expected)).toEqual(right);
      }
      expect(await readTyped(spelled.join(" "), lists)).toEqual(accessCode);
    }
  });

  it("name the first that is in no list, but not while it is typed", async () => {
    const [english] = lists;
    if (english === undefined) throw new Error("the lists were read");
    const spelled = words(await generate(), english);
    const typed = [...spelled.slice(0, 3), "qqqq"].join(" ");

    expect(await judge(typed, lists, null)).toMatchObject({ state: "unfinished" });
    expect(await judge(`${typed} `, lists, null)).toMatchObject({ state: "wrong", at: 4 });
    expect(await judge([typed, ...spelled.slice(4)].join(" "), lists, null)).toMatchObject({
      state: "wrong",
      at: 4,
      all: 9,
    });
  });

  it("name the first that is not the one that was shown", async () => {
    for (const list of lists) {
      const accessCode = await generate();
      const spelled = words(accessCode, list);
      const another = spelled[4] === list.words[7] ? list.words[8] : list.words[7];
      const wrong = spelled.map((word, i) => (i === 4 ? (another ?? "") : word)).join(" ");

      expect(await judge(wrong, lists, accessCode)).toMatchObject({ unit: "words", state: "wrong", at: 5 });
    }
  });

  it("name a first word that no access code begins with, before any other is typed", async () => {
    for (const list of lists) {
      const spelled = words(await generate(), list);
      expect(await judge(`${spelled[0]} `, lists, null)).toMatchObject({ state: "unfinished", at: null });
      const impossible = [list.words[0], list.words.at(-1)].filter((word) => word !== undefined);
      for (const word of impossible)
        expect(await judge([word, ...spelled.slice(1)].join(" "), [list], null)).toMatchObject({
          state: "wrong",
          at: 1,
        });
    }
  });

  it("name nothing when only the check is wrong, or there are too many", async () => {
    const [english] = lists;
    if (english === undefined) throw new Error("the lists were read");
    // No other order of the words of this code has a right check.
    const spelled = words(await parse("010341 455308 356921 211740 438400 194832"), english);
    const swapped = [spelled[0], spelled[2], spelled[1], ...spelled.slice(3)].join(" ");
    const { state, at } = await judge(swapped, lists, null);

    expect(state).toBe("wrong");
    expect(at).toBe(null);
    expect(await judge([...spelled, "zoom"].join(" "), lists, null)).toMatchObject({ state: "wrong", at: 10 });
  });
});
