// The screens of an upload that goes on: choosing the same files, and what does not fit.

import type { Code } from "../../errors.js";
import type { FoundUpload, FromWorker } from "../../messages.js";
import { shownName } from "../choosing/file_names.js";
import type { Lent } from "../opening.js";
import { element, field, type View, view } from "../screen.js";
import { unread } from "./unread.js";

/** What is to be done with an upload that was found, and the digits of its code. */
export interface Choice {
  readonly index: number;
  readonly upload: FoundUpload;
  readonly files: readonly File[];
  readonly accessCode: string;
  /** Whether the files are sent from the start, in place of what arrived. */
  readonly isAnew: boolean;
}

export class Uploads {
  readonly #lent: Lent;
  readonly #root: HTMLElement;
  #rows: readonly View[] = [];
  #uploads: readonly FoundUpload[] = [];
  #accessCode = "";
  /** The files that were chosen last, and for which upload. */
  #chosen: { readonly index: number; readonly files: readonly File[] } = { index: 0, files: [] };

  constructor(lent: Lent, root: HTMLElement) {
    this.#lent = lent;
    this.#root = root;
  }

  hear(news: FromWorker): void {
    switch (news.kind) {
      case "found":
        return this.#found(news);
      case "unfound":
        return this.#unfound(news.code);
      case "unmatched":
        return this.#refused(news.files);
      case "differs":
        return this.#refused(null);
    }
  }

  #found({ accessCode, uploads, refused }: FromWorker & { kind: "found" }): void {
    this.#accessCode = accessCode;
    this.#uploads = uploads;
    const screen = view("view-found");
    screen.part("none").hidden = uploads.length + refused > 0;
    screen.part("refused").hidden = refused === 0;
    this.#rows = uploads.map((upload, index) => this.#row(upload, index));
    screen.part("uploads").append(...this.#rows.map(({ content }) => content));
    this.#root.replaceChildren(screen.content);
    this.#show();
  }

  /** The search failed. */
  #unfound(code: Code): void {
    const { content } = unread(code, false);
    content.querySelector("h1")?.replaceWith(view("view-found").content.querySelector("h1") ?? "");
    this.#root.replaceChildren(content);
    this.#show();
  }

  /** Not over what is written meanwhile. */
  #show(): void {
    if (this.#root.isConnected) this.#lent.show(this.#root);
  }

  #row({ files }: FoundUpload, index: number): View {
    const row = view("view-upload");
    const { texts } = this.#lent;
    row.part("total").textContent = texts.get("total", {
      count: texts.number(files.length),
      size: texts.size(files.reduce((sum, { size }) => sum + size, 0)),
    });
    const picker = field("input");
    picker.type = "file";
    picker.multiple = true;
    picker.addEventListener("change", () => {
      this.#chosen = { index, files: [...(picker.files ?? [])] };
      if (this.#chosen.files.length > 0) this.#go(false);
      picker.value = "";
    });
    row.part("picker").prepend(picker);
    row.part("anew").addEventListener("click", () => this.#go(true));
    return row;
  }

  #go(isAnew: boolean): void {
    const { index, files } = this.#chosen;
    const upload = this.#uploads[index];
    if (upload !== undefined) this.#lent.choose({ index, upload, files, accessCode: this.#accessCode, isAnew });
  }

  /** These files of the upload, by their index, were not chosen; or (`null`) what arrived is not of those that were. */
  #refused(missing: readonly number[] | null): void {
    const row = this.#rows[this.#chosen.index];
    if (row === undefined) return;
    const files = this.#uploads[this.#chosen.index]?.files ?? [];
    row.part("missing").hidden = missing === null;
    row.part("differs").hidden = missing !== null;
    row.part("anew").hidden = missing !== null;
    row.part("names").replaceChildren(
      ...(missing ?? []).map((at) => {
        const item = element("li");
        item.append(element("bdi", shownName(files[at]?.name ?? "")));
        return item;
      }),
    );
    this.#lent.show(this.#root);
  }

  wipe(): void {
    this.#accessCode = "";
    this.#uploads = [];
    this.#chosen = { index: 0, files: [] };
    this.#root.replaceChildren();
  }
}
