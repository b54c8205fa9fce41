// One file of an answer: asked for, on its way, offered. It lies in this browser's memory until it is saved or the page is left.

import { element } from "./screen.js";
import type { Texts } from "./texts.js";

/** Milliseconds after which a file that was saved is let go: by then the browser has it. */
const SAVED = 30_000;

export class Download {
  readonly row = element("li");
  readonly #texts: Texts;
  readonly #name: string;
  readonly #last = element("span");
  readonly #fetch: () => void;
  #url: string | null = null;

  /** `fetch` asks for the file. */
  constructor(texts: Texts, { name, size }: { readonly name: string; readonly size: number }, fetch: () => void) {
    this.#texts = texts;
    this.#name = name;
    this.#fetch = fetch;
    const title = element("span");
    const weight = element("span", texts.size(size));
    weight.className = "quiet";
    title.append(element("bdi", name), " ", weight);
    this.row.append(title, this.#last);
    this.#offer();
  }

  #offer(): void {
    const get = element("button", this.#texts.get("get"));
    get.type = "button";
    get.setAttribute("aria-label", this.#texts.get("getFile", { name: this.#name }));
    get.addEventListener("click", () => {
      this.#last.replaceChildren(this.#texts.get("loading"));
      this.#fetch();
    });
    this.#last.replaceChildren(get);
  }

  progress(bytes: number, total: number): void {
    this.#last.replaceChildren(
      this.#texts.get("sent", { done: this.#texts.size(bytes), total: this.#texts.size(total) }),
    );
  }

  /** The file is whole: the browser saves it, under the name that its sender gave it. */
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
      }, SAVED);
    });
    this.#last.replaceChildren(save);
  }

  damaged(): void {
    this.#last.replaceChildren(this.#texts.get("damaged"));
  }

  /** Lets the file go. */
  revoke(): void {
    if (this.#url !== null) URL.revokeObjectURL(this.#url);
    this.#url = null;
  }
}
