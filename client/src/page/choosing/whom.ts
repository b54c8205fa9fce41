// Whom a source writes to: a card for each organisation, with what it says of itself. Nothing is chosen beforehand: who
// is in a hurry would choose the widest circle, and each captured organisation is a reader.

import type { Organisation } from "../../messages.js";
import { element, field } from "../screen.js";
import { apart, type Texts } from "../texts.js";

export class Whom {
  readonly #texts: Texts;
  readonly #place: HTMLElement;
  readonly #all: HTMLElement;
  readonly #boxes: readonly HTMLInputElement[];
  /** Those that can be chosen. */
  #there: readonly HTMLInputElement[];

  /** Cards go to `place`; `all` is the button that chooses everybody; `chosen` are ids that are checked at first. */
  constructor(
    texts: Texts,
    place: HTMLElement,
    all: HTMLElement,
    organisations: readonly Organisation[],
    chosen: readonly string[],
  ) {
    this.#texts = texts;
    this.#place = place;
    this.#all = all;
    const sorted = [...organisations].sort((one, other) => one.name.localeCompare(other.name, texts.language));
    this.#boxes = sorted.map((organisation) => this.#card(organisation, chosen.includes(organisation.id)));
    this.#there = this.#boxes;
    all.addEventListener("click", () => {
      for (const box of this.#there) box.checked = true;
      place.dispatchEvent(new Event("input", { bubbles: true }));
    });
    place.addEventListener("change", () => this.#tell());
    this.#tell();
  }

  /** Ids of those that are chosen. */
  get chosen(): string[] {
    return this.#boxes.filter((box) => box.checked).map((box) => box.value);
  }

  /** Names of those that are chosen and take nothing now. */
  get gone(): string {
    const gone = this.#boxes.filter((box) => box.checked && !this.#there.includes(box));
    const names = gone.map((box) => apart(box.parentElement?.querySelector("b")?.textContent ?? ""));
    return this.#texts
      .list(names)
      .map(({ text }) => text)
      .join("");
  }

  /** Of the organisations only these can be chosen from now on. */
  keep(organisations: readonly Organisation[]): void {
    this.#there = this.#boxes.filter(({ value }) => organisations.some(({ id }) => id === value));
    this.#tell();
  }

  /** Shows those that can be chosen; who was chosen stays until the source has taken the tick away. */
  #tell(): void {
    for (const box of this.#boxes)
      box.parentElement?.toggleAttribute("hidden", !(box.checked || this.#there.includes(box)));
    this.#all.hidden = this.#there.length < 2;
    this.#all.textContent = this.#texts.get("chooseAll", { count: this.#texts.number(this.#there.length) });
  }

  #card({ id, name, where, about, aboutIn }: Organisation, checked: boolean): HTMLInputElement {
    const box = field("input");
    box.type = "checkbox";
    box.checked = checked;
    box.value = id;
    const card = element("label");
    card.className = "card choice";
    card.dataset["id"] = id;
    const said = element("span");
    const title = element("b");
    title.append(element("bdi", name));
    const place = element("span", where);
    place.className = "quiet";
    const line = element("span", about);
    line.dir = "auto";
    if (aboutIn !== "") line.lang = aboutIn;
    said.append(title, place, line);
    card.append(box, said);
    this.#place.append(card);
    return box;
  }
}
