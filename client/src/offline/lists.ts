// The lists of words of access codes, which stand in the page's own bytes.

import { utf8 } from "../formats/base/bytes.js";
import { type ListName, PINS, WordList } from "../formats/wordlists.js";
import { isWords } from "../worker/judge.js";

const lists = new Map<ListName, Promise<WordList>>();

/** A list, read when it is first needed. Throws `malformed` when its words are not those that are pinned. */
export function readList(name: ListName): Promise<WordList> {
  const known = lists.get(name);
  if (known !== undefined) return known;
  const place = document.getElementById(`list-${name}`);
  const text = place instanceof HTMLTemplateElement ? (place.content.textContent ?? "") : "";
  const read = WordList.read(name, utf8(text));
  lists.set(name, read);
  return read;
}

/** All lists that typed words may be in; none for digits. */
export function listsFor(typed: string): Promise<WordList[]> {
  return Promise.all(isWords(typed) ? Object.keys(PINS).map((name) => readList(name as ListName)) : []);
}
