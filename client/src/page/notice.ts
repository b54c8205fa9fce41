// A notice of an organisation, as the page shows it: its words and nothing else, as text.

import type { Said } from "../messages.js";
import { element } from "./screen.js";
import type { Texts } from "./texts.js";

export function noticeOf(texts: Texts, { name, language, words }: Said): HTMLElement {
  const box = element("section");
  box.className = "card";
  const title = element("h2", texts.get("noticeOf"));
  title.append(" ", element("bdi", name));
  const said = element("p", words);
  said.className = "text";
  said.lang = language;
  said.dir = "auto";
  box.append(title, said);
  return box;
}
