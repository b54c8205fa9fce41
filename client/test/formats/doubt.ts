// What can be said of a typed access code without knowing it (docs/format.md, section 3), by the rules of the commands
// (`tipbox/formats/access_code.py`). The page has its own (`src/worker/judge.ts`), which knows what was shown.

import { asciiDigits, divide } from "../../src/formats/base/characters.js";
import { ACCESS_CODE_DIGITS } from "../../src/formats/base/limits.js";
import type { WordList } from "../../src/formats/wordlists.js";

const MAX_TYPED = 1024;
const GROUP = 6;
/** Version 1, then 100 random and 12 check bits. */
const LOWEST = 1n << 112n;
const HIGHEST = (2n << 112n) - 1n;

/** What can be said of a typed text without knowing the access code. */
export interface Doubt {
  readonly unit: "digits" | "words";
  /** The list whose words these most likely are; empty for digits. */
  readonly language: string;
  /** Groups or words typed, */
  readonly count: number;
  /** of this many. */
  readonly expected: number;
  /** The numbers, from 0, of groups or words that no access code can have there. */
  readonly wrong: readonly number[];
}

/** Where a typed text cannot be right. Words are held against the list that fits them best, the first of equals. */
export function doubt(typed: string, lists: readonly WordList[]): Doubt {
  const text = asciiDigits([...typed.slice(0, 2 * MAX_TYPED)].slice(0, MAX_TYPED).join(""));
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  if (letters <= (text.match(/[0-9]/g)?.length ?? 0)) return doubtDigits(text);
  const found = lists.map((list) => doubtWords(text, list)).sort((one, other) => one.wrong.length - other.wrong.length);
  return found[0] ?? { unit: "words", language: "", count: 0, expected: 0, wrong: [] };
}

function indexes<T>(pieces: readonly T[], wrong: (piece: T, at: number) => boolean): number[] {
  return pieces.flatMap((piece, at) => (wrong(piece, at) ? [at] : []));
}

function doubtDigits(text: string): Doubt {
  let groups = divide(text);
  const asTyped = groups.length > 1 && groups.slice(0, -1).every((piece) => Math.abs([...piece].length - GROUP) <= 1);
  if (!asTyped) groups = groups.join("").match(/.{1,6}/gsu) ?? []; // not in groups of six
  const rest = 10n ** BigInt(ACCESS_CODE_DIGITS - GROUP);
  const wrong = indexes(groups, (piece, at) => !/^[0-9]{6}$/.test(piece) || (at === 0 && !within(BigInt(piece), rest)));
  return { unit: "digits", language: "", count: groups.length, expected: ACCESS_CODE_DIGITS / GROUP, wrong };
}

function doubtWords(text: string, list: WordList): Doubt {
  const rest = BigInt(list.words.length) ** BigInt(list.length - 1);
  const numbers = list.divide(text).map((word) => list.find(word));
  const wrong = indexes(numbers, (number, at) => number === null || (at === 0 && !within(BigInt(number), rest)));
  return { unit: "words", language: list.name, count: numbers.length, expected: list.length, wrong };
}

/** Whether an access code of this version can begin with `first`, which counts `rest` each. */
function within(first: bigint, rest: bigint): boolean {
  return LOWEST / rest <= first && first <= HIGHEST / rest;
}
