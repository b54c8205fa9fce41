// Whom a source writes to: a card for each organisation, with what it says of itself. Nothing is chosen beforehand: who
// is in a hurry would choose the widest circle, and each captured organisation is a reader.

import type { Organisation } from "../../messages.js";
import { element, field } from "../screen.js";
import type { Texts } from "../texts.js";

export class Whom {
  readonly #texts: Texts;
  readonly #place: HTMLElement;
  readonly #all: HTMLElement;
  #boxes: HTMLInputElement[];

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
    all.addEventListener("click", () => {
      for (const box of this.#boxes) box.checked = true;
      place.dispatchEvent(new Event("input", { bubbles: true }));
    });
    this.#tellAll();
  }

  /** Ids of those that are chosen. */
  get chosen(): string[] {
    return this.#boxes.filter((box) => box.checked).map((box) => box.value);
  }

  /** Of the organisations only these can be chosen from now on. */
  keep(organisations: readonly Organisation[]): void {
    const isThere = (box: HTMLInputElement): boolean => organisations.some(({ id }) => id === box.value);
    for (const box of this.#boxes) if (!isThere(box)) box.closest("label")?.remove();
    this.#boxes = this.#boxes.filter(isThere);
    this.#tellAll();
  }

  #tellAll(): void {
    this.#all.hidden = this.#boxes.length < 2;
    this.#all.textContent = this.#texts.get("chooseAll", { count: this.#texts.number(this.#boxes.length) });
  }

  #card({ id, name, where, about }: Organisation, checked: boolean): HTMLInputElement {
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
    said.append(title, place, line);
    card.append(box, said);
    this.#place.append(card);
    return box;
  }
}
