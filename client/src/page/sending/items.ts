// What is sent, one row each: the words and every file, and how far each of them is.

import { shownName } from "../choosing/file_names.js";
import { element } from "../screen.js";
import type { Texts } from "../texts.js";

/** Rows of a list that are shown at once; the others are folded away. */
const SHOWN = 10;

/** `arrived` is on the server, `sent` on its way to it, `lost` not sent. */
export type State = "waiting" | "sending" | "sent" | "arrived" | "lost";

/** Rows of which all but the first ten are folded away. `all` says how many there are. */
export function folded(list: HTMLElement, rows: readonly HTMLElement[], all: string): void {
  const rest = rows.slice(SHOWN);
  list.replaceChildren(...rows.slice(0, SHOWN));
  if (rest.length === 0) return;
  const details = element("details");
  const more = element("ul");
  more.className = list.className;
  more.append(...rest);
  details.append(element("summary", all), more);
  const row = element("li");
  row.append(details);
  list.append(row);
}

/** A row: a name, and what is said of it behind it. */
export class Item {
  readonly row = element("li");
  readonly #said = element("span");

  constructor(name: Node | string) {
    const title = element("span");
    title.append(name);
    this.#said.className = "said";
    this.row.append(title, this.#said);
    this.set("waiting", "");
  }

  set(state: State, said: string): void {
    if (this.row.dataset["state"] !== state) this.row.dataset["state"] = state;
    if (this.#said.textContent !== said) this.#said.textContent = said;
  }
}

/** The files of one Envelope, in their order; they arrive together, when the last byte is there. */
export class Files {
  readonly #items: Item[];
  readonly #texts: Texts;

  constructor(
    texts: Texts,
    readonly files: readonly File[],
  ) {
    this.#texts = texts;
    this.#items = files.map(({ name }) => new Item(element("bdi", shownName(name))));
  }

  get rows(): readonly HTMLElement[] {
    return this.#items.map(({ row }) => row);
  }

  /** So many bytes of them are on the server; those that are left out are not among them. */
  progress(bytes: number, isLeftOut: (index: number) => boolean): void {
    let before = 0;
    for (const [index, { size }] of this.files.entries()) {
      if (isLeftOut(index)) continue;
      const done = Math.min(size, Math.max(0, bytes - before));
      const state = done < size ? "sending" : "sent";
      before += size;
      if (done === 0 && size > 0) this.#items[index]?.set("waiting", this.#texts.size(size));
      else this.#items[index]?.set(state, this.#of(done, size));
    }
  }

  #of(done: number, size: number): string {
    const texts = this.#texts;
    return texts.get("sent", { done: texts.size(done), total: texts.size(size) });
  }

  set(index: number, state: State, said: string): void {
    this.#items[index]?.set(state, said);
  }
}
