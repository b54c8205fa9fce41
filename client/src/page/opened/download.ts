// One file of an answer: offered, fetched, saved. It is in this browser's memory until it is saved or the page is left.

import { shownName } from "../choosing/file_names.js";
import { element, passFocus } from "../screen.js";
import type { Texts } from "../texts.js";

/** Milliseconds after a click on Save until the file is released: no event says when the browser has written it. */
const RELEASE_AFTER = 30_000;

export class Download {
  readonly row = element("li");
  readonly #texts: Texts;
  readonly #name: string;
  readonly #last = element("span");
  readonly #fetch: () => void;
  #url: string | null = null;

  /** `fetch` asks the worker for the file. */
  constructor(texts: Texts, { name, size }: { readonly name: string; readonly size: number }, fetch: () => void) {
    this.#texts = texts;
    this.#name = name;
    this.#fetch = fetch;
    const title = element("span");
    const weight = element("span", texts.size(size));
    weight.className = "quiet";
    title.append(element("bdi", shownName(name)), " ", weight);
    this.row.append(title, this.#last);
    this.#offer();
  }

  /** Says or offers something else; the focus stays here, if it was here. */
  #set(next: HTMLElement | string): void {
    passFocus(this.#last, this.row);
    this.#last.replaceChildren(next);
    if (next instanceof HTMLElement) passFocus(this.row, next);
  }

  #offer(): void {
    const get = element("button", this.#texts.get("get"));
    get.type = "button";
    get.setAttribute("aria-label", this.#texts.get("getFile", { name: this.#name }));
    get.addEventListener("click", () => {
      this.#set(this.#texts.get("loading"));
      this.#fetch();
    });
    this.#set(get);
  }

  progress(bytes: number, total: number): void {
    this.#set(this.#texts.get("sent", { done: this.#texts.size(bytes), total: this.#texts.size(total) }));
  }

  /** Offers the complete file for saving, under the name that its sender gave it. */
  whole(blob: Blob): void {
    const url = URL.createObjectURL(blob);
    this.#url = url;
    const save = element("a", this.#texts.get("save"));
    save.className = "button main";
    save.href = url;
    save.download = this.#name;
    save.setAttribute("aria-label", this.#texts.get("saveFile", { name: this.#name }));
    save.addEventListener("click", () => {
      setTimeout(() => {
        if (this.#url !== url) return;
        this.revoke();
        this.#offer();
      }, RELEASE_AFTER);
    });
    this.#set(save);
  }

  damaged(): void {
    this.#set(this.#texts.get("damaged"));
  }

  /** Releases the file's memory. */
  revoke(): void {
    if (this.#url !== null) URL.revokeObjectURL(this.#url);
    this.#url = null;
  }
}
