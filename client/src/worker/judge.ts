// Judging an access code while it is typed, on this device: how much of it is there, and which group or word is wrong.

import { codeOf } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { type Bytes, equal } from "../formats/base/bytes.js";
import { asciiDigits, divide } from "../formats/base/characters.js";
import { ACCESS_CODE_DIGITS } from "../formats/base/limits.js";
import { readLookalikes } from "../formats/base/lookalikes.js";
import { fold, type WordList } from "../formats/wordlists.js";
import type { Judgement } from "../messages.js";

const GROUP_SIZE = 6;
/** What the first group of every access code lies between. */
const FIRST_GROUP = accessCodes.BOUNDS.map((bound) =>
  bound.toString().padStart(ACCESS_CODE_DIGITS, "0").slice(0, GROUP_SIZE),
);

/** Whether words are typed, not digits: a letter O among digits is an error in digits, also when half of them are O. */
export function isWords(typed: string): boolean {
  const count = (kind: RegExp): number => typed.match(kind)?.length ?? 0;
  const letters = count(/\p{L}/gu);
  if (letters === 0 || letters < count(/\p{Nd}/gu)) return false; // words may be numbered
  const pieces = piecesOf(typed).join("");
  return pieces.length !== ACCESS_CODE_DIGITS || /[^0-9]/.test(pieces);
}

/** The pieces of typed digits: letters that look like one are, and the numbers of a list ("1. 005192") are none. */
function piecesOf(typed: string): string[] {
  const pieces = divide(readLookalikes(asciiDigits(typed)));
  const isNumbered = pieces.length > 1 && pieces.every((piece, at) => at % 2 === 1 || piece === String(at / 2 + 1));
  return isNumbered ? pieces.filter((_, at) => at % 2 === 1) : pieces;
}

/** The access code that is typed, or `null` if it is not one. */
export async function readTyped(typed: string, lists: readonly WordList[] = []): Promise<Bytes | null> {
  try {
    return await accessCodes.parse(isWords(typed) ? typed : piecesOf(typed).join(" "), lists);
  } catch (error) {
    if (codeOf(error) === "bad-passphrase") return null;
    throw error;
  }
}

/** Judges what is typed; `expected` is what it should be, or `null` if that is unknown. Words need their lists. */
export function judge(typed: string, lists: readonly WordList[], expected: Bytes | null): Promise<Judgement> {
  return isWords(typed)
    ? judgeWords(typed, lists, expected)
    : judgeDigits(typed, expected && accessCodes.digits(expected));
}

function isBetween<T extends number | string>(value: T, [least, most]: readonly T[]): boolean {
  return least !== undefined && most !== undefined && least <= value && value <= most;
}

/** The number of the first word that cannot be right, or `null`; how many were typed, and how many the list lacks. */
function wrongWord(
  typed: string,
  list: WordList,
  expected: Bytes | null,
): { at: number | null; count: number; unknown: number } {
  const words = list.divide(typed);
  const numbers = words.map((word) => list.find(word));
  const spelled = expected && accessCodes.words(expected, list).map((word) => list.find(fold(word)));
  // No access code begins with another word than one between these.
  const first = accessCodes.BOUNDS.map((bound) => list.find(fold(list.spell(bound)[0] ?? "")) ?? 0);
  const isWhole = (i: number): boolean =>
    i < words.length - 1 || words.length >= list.length || /[\s\-._,]$/.test(typed); // the last one may be unfinished
  const found = numbers.findIndex(
    (number, i) =>
      isWhole(i) &&
      (i >= list.length ||
        number === null ||
        (i === 0 && !isBetween(number, first)) ||
        (spelled !== null && number !== spelled[i])),
  );
  const unknown = numbers.filter((number, i) => isWhole(i) && number === null).length;
  return { at: found < 0 ? null : found + 1, count: words.length, unknown };
}

/** Judges words by the list that knows most of them. */
async function judgeWords(typed: string, lists: readonly WordList[], expected: Bytes | null): Promise<Judgement> {
  const accessCode = await readTyped(typed, lists);
  const known = lists.map((list) => ({ all: list.length, ...wrongWord(typed, list, expected) }));
  const [best] = known.sort((one, other) => one.unknown - other.unknown);
  const { all, at, count } = best ?? { all: 0, at: null, count: 0 };
  const right = accessCode !== null && (expected === null || equal(accessCode, expected));
  if (right) return { unit: "words", state: "right", count: all, all, at: null };
  return { unit: "words", state: at === null && count < all ? "unfinished" : "wrong", count, all, at };
}

/** The number of the first group that cannot be right, or `null`. `expected` is what the digits should be. */
function wrongGroup(groups: readonly string[], expected: readonly string[] | null): number | null {
  const found = groups.findIndex((group, i) => {
    if (!/^[0-9]*$/.test(group)) return true;
    const whole = group.length >= GROUP_SIZE || i < groups.length - 1; // the last one may be unfinished
    if (whole && i === 0 && !isBetween(group, FIRST_GROUP)) return true; // no access code begins so
    return whole && (group.length !== GROUP_SIZE || (expected !== null && group !== expected[i]));
  });
  return found < 0 ? null : found + 1;
}

/** Judges digits. `expected` is what they should be, in groups, where that is known. */
export async function judgeDigits(typed: string, expected: string | null): Promise<Judgement> {
  const pieces = piecesOf(typed);
  const joined = pieces.join("");
  // Digits that are not typed in groups of six are divided into such groups.
  const asWritten =
    pieces.length > 1 &&
    pieces.slice(0, -1).every((piece) => piece.length >= GROUP_SIZE - 1 && piece.length <= GROUP_SIZE + 1);
  const groups = asWritten ? pieces : (joined.match(/.{1,6}/gu) ?? []);
  const at = wrongGroup(groups, expected?.split(" ") ?? null);
  const known = { unit: "digits", count: joined.length, all: ACCESS_CODE_DIGITS } as const;
  if (joined.length < ACCESS_CODE_DIGITS) return { ...known, state: at === null ? "unfinished" : "wrong", at };
  const right = expected === null ? (await readTyped(typed)) !== null : joined === expected.replace(/ /g, "");
  return { ...known, state: right ? "right" : "wrong", at: right ? null : at };
}
