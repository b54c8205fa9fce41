// The screens of an upload that goes on: typing its code, choosing the same files, and what does not fit.

import type { Code } from "../../errors.js";
import type { FoundUpload, FromWorker, Judgement, ToWorker } from "../../messages.js";
import { shownName } from "../choosing/file_names.js";
import { CodeField } from "../code_field.js";
import { troubleOf } from "../delivery.js";
import { element, field, show, type View, view } from "../screen.js";
import type { Texts } from "../texts.js";

/** What is to be done with an upload that was found, and the digits of its code. */
export interface Choice {
  readonly index: number;
  readonly upload: FoundUpload;
  readonly files: readonly File[];
  readonly accessCode: string;
  /** Whether the files are sent from the start, in place of what arrived. */
  readonly isAnew: boolean;
}

export class ContinuingScreens {
  readonly #texts: Texts;
  readonly #ask: (message: ToWorker) => void;
  readonly #choose: (choice: Choice) => void;
  readonly #view: View = view("view-continue");
  #codeField: CodeField | null;
  #root = element("div");
  #rows: readonly View[] = [];
  #uploads: readonly FoundUpload[] = [];
  #accessCode = "";
  /** The files that were chosen last, and for which upload. */
  #chosen: { readonly index: number; readonly files: readonly File[] } = { index: 0, files: [] };

  /** `choose` is called when the source has chosen files. */
  constructor(texts: Texts, ask: (message: ToWorker) => void, choose: (choice: Choice) => void) {
    this.#texts = texts;
    this.#ask = ask;
    this.#choose = choose;
    const { part, content } = this.#view;
    this.#codeField = new CodeField(texts, part("typed-result"), ask, null, () => texts.get("typedRight"));
    this.#codeField.field.setAttribute("aria-labelledby", "typed-title");
    part("typed").append(this.#codeField.field);
    part("open").addEventListener("click", () => this.#find());
    this.#root.append(content);
  }

  #find(): void {
    const typed = this.#codeField?.value ?? "";
    if (!/\S/.test(typed)) {
      this.#codeField?.say(this.#texts.get("typedEmpty"));
      return;
    }
    this.#view.part("open").toggleAttribute("disabled", true);
    this.#codeField?.say(this.#texts.get("loading"));
    this.#ask({ kind: "find", typed });
  }

  show(first = false): void {
    show(this.#root, first);
  }

  judged(turn: number, judgement: Judgement): void {
    this.#codeField?.judged(turn, judgement);
  }

  trouble(trouble: Code | null): void {
    this.#view.part("trouble").textContent = troubleOf(this.#texts, trouble);
  }

  unfound(code: Code): void {
    this.#view.part("open").toggleAttribute("disabled", false);
    if (code === "bad-passphrase") this.#codeField?.refuse();
    else this.#codeField?.say(this.#texts.get("lostOther"));
  }

  found({ accessCode, uploads, refused }: FromWorker & { kind: "found" }): void {
    this.#codeField?.wipe();
    this.#codeField = null;
    this.#accessCode = accessCode;
    this.#uploads = uploads;
    const screen = view("view-found");
    screen.part("none").hidden = uploads.length + refused > 0;
    screen.part("refused").hidden = refused === 0;
    this.#rows = uploads.map((upload, index) => this.#row(upload, index));
    screen.part("uploads").append(...this.#rows.map(({ content }) => content));
    this.#root = element("div");
    this.#root.append(screen.content);
    show(this.#root);
  }

  #row({ files }: FoundUpload, index: number): View {
    const row = view("view-upload");
    const texts = this.#texts;
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
    if (upload !== undefined) this.#choose({ index, upload, files, accessCode: this.#accessCode, isAnew });
  }

  /** These files of the upload, by their index, were not chosen; or (`null`) what arrived is not of those that were. */
  refused(missing: readonly number[] | null): void {
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
    show(this.#root);
  }

  wipe(): void {
    this.#codeField?.wipe();
    this.#codeField = null;
    this.#accessCode = "";
    this.#uploads = [];
    this.#chosen = { index: 0, files: [] };
    this.#root.replaceChildren();
  }
}
