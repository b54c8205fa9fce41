// The screen behind "Sending": what arrived, for whom, and what did not; then a new access code, its copying and its
// typing back, each as a step of its own.

import type { Code } from "../../errors.js";
import type { CheckDigits, Judgement, Missing, Spelled, ToWorker } from "../../messages.js";
import { shownName } from "../choosing/file_names.js";
import { CodeField } from "../code_field.js";
import { accessCode, element, field, passFocus, show, type View, view } from "../screen.js";
import type { Texts } from "../texts.js";
import { CodeBoxes } from "./code_boxes.js";
import { folded, Item } from "./items.js";

/** The text for each reason why a file was not sent. */
const REASONS: Partial<Record<Code, string>> = {
  "file-unreadable": "lostFile",
  "file-changed": "lostFile",
  full: "lostFull",
  stopped: "lostStopped",
  "part-differs": "lostDiffers",
};

/** What was sent, and what became of it. */
export interface Account {
  readonly hasWords: boolean;
  /** Files that arrived. */
  readonly files: readonly File[];
  /** Files that did not, with why. */
  readonly missing: readonly { readonly file: File; readonly code: Code }[];
  /** Whether those may have arrived. */
  readonly inDoubt: boolean;
  /** Whether a part of them lies there, and the code continues it. */
  readonly isLater: boolean;
  /** Whether another tab or program finished it, and shows its check digits. */
  readonly elsewhere: boolean;
  /** Names of the organisations it is for. */
  readonly names: readonly string[];
  readonly checks: readonly CheckDigits[];
}

/** Why a file was not sent, in a sentence. */
export function reasonOf(texts: Texts, code: Code): string {
  return texts.get(REASONS[code] ?? "lostOther");
}

/** Those of the files that are missing, with why. */
export function missingOf(files: readonly File[], missing: readonly Missing[]): Account["missing"] {
  return missing.flatMap(({ file, code }) => {
    const found = files[file];
    return found === undefined ? [] : [{ file: found, code }];
  });
}

type Step = "copy" | "check" | "done";

export class Arrived {
  readonly #texts: Texts;
  readonly #ask: (message: ToWorker) => void;
  readonly #view: View = view("view-sent");
  readonly #root = element("div");
  #digits: string | null;
  #boxes: CodeBoxes | null = null;
  #codeField: CodeField | null = null;
  #step: Step = "done";

  /** `digits` are those of a new access code; `again` sends files once more, or is `null` when that cannot be. */
  constructor(
    texts: Texts,
    ask: (message: ToWorker) => void,
    account: Account,
    digits: string | null,
    again: ((files: readonly File[]) => void) | null,
  ) {
    this.#texts = texts;
    this.#ask = ask;
    this.#digits = digits;
    this.#tell(account);
    this.#offer(account, again);
    if (digits === null) for (const part of ["copy-step", "check-step"]) this.#view.part(part).remove();
    else this.#copy(digits);
    this.#view.part(digits === null ? "first-done" : "back-done").remove();
    this.#root.append(this.#view.content);
    show(this.#root);
  }

  get isShown(): boolean {
    return this.#root.isConnected;
  }

  /** Whether leaving would lose a code that was neither typed back nor declined. */
  get isOpen(): boolean {
    return this.#digits !== null && this.#step !== "done";
  }

  #tell({ hasWords, files, names, checks, missing, elsewhere }: Account): void {
    const texts = this.#texts;
    const { part } = this.#view;
    const rows = files.map(({ name }) => new Item(element("bdi", shownName(name))));
    if (hasWords) rows.unshift(new Item(texts.get("yourText")));
    for (const row of rows) row.set("arrived", texts.get("arrived"));
    folded(
      part("items"),
      rows.map(({ row }) => row),
      texts.get("allFiles", { count: texts.number(files.length) }),
    );
    part("whom").append(...texts.list(names).map(({ isName, text }) => (isName ? element("bdi", text) : text)));
    part("whole").hidden = missing.length > 0;
    if (elsewhere) {
      part("other").hidden = false;
      part("checks").parentElement?.remove();
      return;
    }
    for (const { name, digits } of [...checks].sort((one, other) =>
      one.name.localeCompare(other.name, texts.language),
    )) {
      const term = element("dt");
      term.append(element("bdi", name || texts.get("unknownOrganisation")));
      const value = element("dd", digits);
      value.dir = "ltr";
      part("checks").append(term, value);
    }
    part("covered").textContent = this.#covered(files.length, hasWords);
  }

  /** What the check digits are of; a desk says the same of its side. */
  #covered(files: number, hasWords: boolean): string {
    if (files === 0) return this.#texts.get("coversWords");
    return this.#texts.counted(hasWords ? "coversFiles" : "coversFilesAlone", files);
  }

  /** Names what was not sent, and takes it once more. */
  #offer({ missing, inDoubt, isLater }: Account, again: ((files: readonly File[]) => void) | null): void {
    const texts = this.#texts;
    const { part } = this.#view;
    part("left-out").hidden = missing.length === 0;
    if (missing.length === 0) return;
    const rows = missing.map(({ file, code }) => {
      const item = new Item(element("bdi", shownName(file.name)));
      item.set("lost", reasonOf(texts, code));
      return item.row;
    });
    folded(part("missing"), rows, texts.get("allFiles", { count: texts.number(rows.length) }));
    part("doubt").hidden = !inDoubt;
    const isLying = missing.some(({ code }) => code === "part-differs");
    const canTry = again !== null && !isLying && !inDoubt;
    const same = missing.filter(({ code }) => !code.startsWith("file-")).map(({ file }) => file);
    const canSame = canTry && same.length > 0;
    part("resend").hidden = !canSame;
    part("later").hidden = !(canSame && isLater);
    part("resend").addEventListener("click", () => again?.(same));
    part("picker").hidden = !canTry;
    const picker = field("input");
    picker.type = "file";
    picker.multiple = true;
    picker.addEventListener("change", () => {
      const chosen = [...(picker.files ?? [])];
      if (chosen.length > 0) again?.(chosen);
    });
    part("picker").prepend(picker);
  }

  #copy(digits: string): void {
    const { part } = this.#view;
    part("access-code").replaceChildren(accessCode(digits));
    part("copied").addEventListener("click", () => this.#go("check"));
    part("code-again").addEventListener("click", () => this.#go("copy"));
    part("code-after-all").addEventListener("click", () => this.#go("copy"));
    for (const name of ["declined", "declined-too"]) {
      part(name).addEventListener("click", () => {
        part("known").hidden = true;
        part("unknown").hidden = false;
        this.#go("done");
      });
    }
    part("show-words").addEventListener("click", () => {
      part("trouble").textContent = this.#texts.get("typedLoading");
      this.#ask({ kind: "spell", digits, language: this.#texts.language });
    });
    this.#boxes = new CodeBoxes(this.#texts, part("again-result"), digits, () => this.#known());
    part("again").append(this.#boxes.root);
    this.#go("copy");
  }

  #known(): void {
    const { part } = this.#view;
    part("known").hidden = false;
    part("unknown").hidden = true;
    this.#go("done");
  }

  #go(step: Step): void {
    const { part } = this.#view;
    this.#step = step;
    for (const one of ["copy", "check", "done"] as const) part(`${one}-step`).hidden = one !== step;
    part("account").hidden = step === "check"; // a step of its own, with the boxes on the screen
    if (step === "check" && this.#codeField === null) this.#boxes?.focus();
    else if (step === "check") this.#codeField?.field.focus();
    else if (this.#root.isConnected) {
      const heading = part(`${step}-step`).querySelector("h2");
      heading?.setAttribute("tabindex", "-1");
      heading?.focus();
    }
  }

  trouble(said: string): void {
    if (this.#view.has("trouble")) this.#view.part("trouble").textContent = said;
  }

  /** Shows the words beside the digits; from then on words are typed back. */
  spelled(spelled: Spelled | null): void {
    const { part } = this.#view;
    if (spelled === null) {
      part("trouble").textContent = this.#texts.get("unlisted");
      return;
    }
    part("words").replaceChildren(...spelled.words.map((word) => element("li", word)));
    part("words").lang = spelled.language;
    part("words").hidden = false;
    passFocus(part("spelling"), part("words"));
    part("spelling").hidden = true;
    part("trouble").textContent = "";
    const typed = new CodeField(this.#texts, part("again-result"), this.#ask, this.#digits, () => "");
    typed.field.setAttribute("aria-label", this.#texts.get("againLabel"));
    part("again").replaceChildren(typed.field);
    this.#codeField = typed;
  }

  judged(turn: number, judgement: Judgement): void {
    if (this.#codeField?.judged(turn, judgement) && judgement.state === "right") this.#known();
  }

  wipe(): void {
    this.#codeField?.wipe();
    this.#boxes?.wipe();
    this.#digits = null;
    this.#root.replaceChildren();
  }
}
