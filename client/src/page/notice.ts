// A notice of an organisation, as the page shows it: its words and since when it says them, as text. What works today may
// not tomorrow, so whoever reads of a bridge sees how old the advice is.

import type { Said } from "../messages.js";
import { element } from "./screen.js";
import type { Texts } from "./texts.js";

export function noticeOf(texts: Texts, { name, language, words, from }: Said): HTMLElement {
  const box = element("section");
  box.className = "card";
  const title = element("h2", texts.get("noticeOf"));
  title.append(" ", element("bdi", name));
  const said = element("p", words);
  said.className = "text";
  said.lang = language;
  said.dir = "auto";
  const day = element("p", texts.day(from));
  day.className = "quiet";
  box.append(title, day, said);
  return box;
}
