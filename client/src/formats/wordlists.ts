// The lists of words that access codes can be written in (docs/format.md, section 3). Lists are fetched from the server
// when they are needed; a list is used only if its SHA-256 is the one pinned here.

import { demand } from "../errors.js";
import { type Bytes, fromUtf8, toHex } from "./base/bytes.js";
import { divide } from "./base/characters.js";
import { sha256 } from "./base/primitives.js";

/** How many words an access code has in a list, and the SHA-256 of the list: words in NFC, a line feed after each. */
export const PINS = {
  en: { length: 9, sha256: "6d557f0693958fb5e650b68b5bee585eb82cf4da32965505c789e924743bc522" },
  ru: { length: 11, sha256: "07f11af3f07fd13d8d74859f4448d8bca8f1d9d336dc4842531ecea083103a26" },
  fr: { length: 11, sha256: "431c1d074225d2b7e82db857d7c3ea58051df546e7c8b74c1f6dcab36351fd56" },
  es: { length: 11, sha256: "0c639b0d58b6e56c18dcf418017ff341418a129e45fbf303361e8569edb02efe" },
} as const;

/** The name of a list: a language. */
export type ListName = keyof typeof PINS;

const SHORTEST_PREFIX = 2;
const KAZAKH: ReadonlyMap<string, string> = new Map(
  [..."әғқңөұүһі"].map((letter, at) => [letter, "агкноуухи"[at] ?? letter]),
);

/** Lower case without accents; Kazakh letters become those that a Russian keyboard has. */
export function fold(text: string): string {
  const letters = text
    .toLowerCase()
    .normalize("NFD")
    .replace(/[\u0300-\u036f]/g, "");
  return letters.replace(/[әғқңөұүһі]/g, (letter) => KAZAKH.get(letter) ?? letter);
}

/** The list for readers of a language (a BCP 47 tag), or `null` when there is no list for it. */
export function languageOf(tag: string): ListName | null {
  const language = (tag.split("-")[0] ?? "").toLowerCase();
  return Object.hasOwn(PINS, language) ? (language as ListName) : null;
}

/** A list of words; `length` of them spell an access code. */
export class WordList {
  readonly #numbers: ReadonlyMap<string, number>;
  /** The words with a hyphen, which also divides words: their halves, joined by a space, and the word. */
  readonly #halves: ReadonlyMap<string, string>;

  private constructor(
    readonly name: ListName,
    readonly length: number,
    readonly words: readonly string[],
  ) {
    this.#numbers = new Map(words.map((word, number) => [fold(word), number]));
    const hyphened = [...this.#numbers.keys()].filter((word) => word.includes("-"));
    this.#halves = new Map(hyphened.map((word) => [word.replace("-", " "), word]));
  }

  /** The list `name` out of its file. Throws `malformed` when these are not the words that are pinned. */
  static async read(name: ListName, file: Bytes): Promise<WordList> {
    const pin = PINS[name];
    const text = fromUtf8(file);
    demand(text !== null && toHex(await sha256(file)) === pin.sha256, "malformed");
    return new WordList(name, pin.length, text.trimEnd().split("\n"));
  }

  /** The typed words, folded, without the numbers of a list; the halves of a word with a hyphen are one. */
  divide(typed: string): string[] {
    const words: string[] = [];
    for (const word of divide(fold(typed))) {
      if (/^[0-9]{1,2}$/.test(word)) continue;
      const whole = this.#halves.get(`${words.at(-1) ?? ""} ${word}`);
      if (whole === undefined) words.push(word);
      else words[words.length - 1] = whole;
    }
    return words;
  }

  /** The number of the word that this is, or of the only one that begins with it; `null` when there is none. */
  find(folded: string): number | null {
    const exact = this.#numbers.get(folded);
    if (exact !== undefined) return exact;
    if ([...folded].length < SHORTEST_PREFIX) return null;
    const found = [...this.#numbers].filter(([word]) => word.startsWith(folded));
    return found.length === 1 ? (found[0]?.[1] ?? null) : null;
  }

  /** An integer in this list's words, most significant first. */
  spell(value: bigint): string[] {
    const base = BigInt(this.words.length);
    const spelt: string[] = [];
    for (let rest = value; spelt.length < this.length; rest /= base)
      spelt.unshift(this.words[Number(rest % base)] ?? "");
    return spelt;
  }

  /** The integer that words with these numbers spell. */
  value(numbers: readonly number[]): bigint {
    const base = BigInt(this.words.length);
    return numbers.reduce((value, number) => value * base + BigInt(number), 0n);
  }
}
