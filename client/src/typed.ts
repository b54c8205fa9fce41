// What can be said of a Passphrase while it is typed, on this device: how much is there, and which piece is wrong.

import type { Bytes } from "./bytes.js";
import { codeOf } from "./errors.js";
import { PASSPHRASE_DIGITS } from "./limits.js";
import type { Judgement } from "./messages.js";
import * as passphrases from "./passphrase.js";

const GROUP_SIZE = 6;
/** What divides digits (docs/format.md, section 3). */
const DIVIDERS = /[\s\x1c-\x1f\x85\-._]+/;

/** Whether somebody types words, not digits. */
export function isWords(typed: string): boolean {
  return /\p{L}/u.test(typed);
}

/** The Passphrase that is typed, or `null`. */
export async function read(typed: string): Promise<Bytes | null> {
  try {
    return await passphrases.parse(typed);
  } catch (error) {
    if (codeOf(error) === "bad-passphrase") return null;
    throw error;
  }
}

/** The number of the first group that cannot be right, or `null`. `expected` is what the digits should be. */
function wrongGroup(groups: readonly string[], expected: readonly string[] | null): number | null {
  const found = groups.findIndex((group, i) => {
    if (!/^[0-9]*$/.test(group)) return true;
    const whole = group.length >= GROUP_SIZE || i < groups.length - 1; // the last one may still be written
    return whole && (group.length !== GROUP_SIZE || (expected !== null && group !== expected[i]));
  });
  return found < 0 ? null : found + 1;
}

/** Judges digits. `expected` is what they should be, in groups, where that is known. */
export async function judgeDigits(typed: string, expected: string | null): Promise<Judgement> {
  const ascii = typed.replace(/\p{Nd}/gu, passphrases.asciiDigit);
  const pieces = ascii.split(DIVIDERS).filter((piece) => piece !== "");
  const joined = pieces.join("");
  // Whoever does not write groups of six gets them counted.
  const asWritten = pieces.length > 1 && pieces.slice(0, -1).every((piece) => piece.length >= GROUP_SIZE - 1 && piece.length <= GROUP_SIZE + 1);
  const groups = asWritten ? pieces : (joined.match(/.{1,6}/gu) ?? []);
  const at = wrongGroup(groups, expected?.split(" ") ?? null);
  const known = { unit: "digits", count: joined.length, all: PASSPHRASE_DIGITS } as const;
  if (joined.length < PASSPHRASE_DIGITS) return { ...known, state: at === null ? "unfinished" : "wrong", at };
  const right = expected === null ? (await read(typed)) !== null : joined === expected.replace(/ /g, "");
  return { ...known, state: right ? "right" : "wrong", at: right ? null : at };
}
