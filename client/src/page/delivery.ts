// The screens of one delivery, from "Seal and send" to "Stored".

import type { Code } from "../errors.js";
import type { CheckDigits, FromWorker, Judgement, ToWorker, Work } from "../messages.js";
import { CodeField } from "./code_field.js";
import { accessCode, element, show, type View, view } from "./screen.js";
import type { Texts } from "./texts.js";

/** The text for each trouble that passes by itself. */
const TROUBLES: Partial<Record<Code, string>> = {
  "slow-down": "connectionSlowDown",
  unavailable: "connectionUnavailable",
  network: "connectionNetwork",
};

/** The text for a connection in trouble; empty for one that works. */
export function troubleOf(texts: Texts, trouble: Code | null): string {
  return trouble === null ? "" : texts.get(TROUBLES[trouble] ?? "connectionNetwork");
}

export class Delivery {
  readonly #texts: Texts;
  readonly #ask: (message: ToWorker) => void;
  #view: View = view("view-sending");
  #accessCode: string | null = null;
  #inDoubt = false;
  #wordsAreThere = false;
  #checks: readonly CheckDigits[] = [];
  #files = 0;
  #codeField: CodeField | null = null;

  constructor(texts: Texts, ask: (message: ToWorker) => void) {
    this.#texts = texts;
    this.#ask = ask;
    this.#view.part("stop").addEventListener("click", () => ask({ kind: "stop" }));
    this.#view.part("agree").addEventListener("click", () => {
      this.#view.part("question").hidden = true;
      ask({ kind: "agree" });
    });
    show(this.#view.content);
  }

  /** The new access code, once it may have answers. */
  get accessCode(): string | null {
    return this.#accessCode;
  }

  /** Whether the message may have arrived although sending failed. */
  get inDoubt(): boolean {
    return this.#inDoubt;
  }

  /** Whether the words are stored, although the files are not. */
  get wordsAreThere(): boolean {
    return this.#wordsAreThere;
  }

  /** The words are stored by themselves. */
  words(): void {
    this.#wordsAreThere = true;
    this.#view.part("words-stored").hidden = false;
  }

  /** The server asks for much work: so does the page. */
  asked(seconds: number): void {
    const { part } = this.#view;
    part("asked").textContent = this.#texts.get("workAsked", { time: this.#texts.time(seconds) });
    part("question").hidden = false;
  }

  doubt(digits: string | null): void {
    this.#inDoubt = true;
    this.#accessCode = digits;
  }

  letter(digits: string | null): void {
    this.#accessCode = digits;
    if (digits !== null) this.#view.part("access-code").replaceChildren(accessCode(digits));
  }

  /** Everything is sealed; the check digits cover the words and so many files. */
  sealed(checks: readonly CheckDigits[], files: number): void {
    this.#checks = checks;
    this.#files = files;
  }

  progress(news: FromWorker & { kind: "progress" }): void {
    const texts = this.#texts;
    const bar = this.#view.part("bar");
    if (bar instanceof HTMLProgressElement) bar.value = news.bytes / news.total;
    this.#view.part("numbers").textContent = texts.get("sent", {
      done: texts.size(news.bytes),
      total: texts.size(news.total),
    });
    const { rate, remaining } = news;
    const pace =
      rate === null || remaining === null
        ? []
        : [texts.rate(rate), texts.get("remaining", { time: texts.time(remaining) })];
    this.#view.part("pace").textContent = pace.map((piece) => ` · ${piece}`).join("");
  }

  /** Says that a place is worked for; nothing when it is done. */
  working(work: Work | null): void {
    const texts = this.#texts;
    const told = this.#view.part("work");
    told.hidden = work === null;
    told.textContent =
      work === null
        ? ""
        : texts.get("working", {
            done: texts.number(work.solved),
            total: texts.number(work.total),
            time: texts.time(work.remaining ?? 0),
          });
  }

  trouble(trouble: Code | null): void {
    this.#view.part("trouble").textContent = troubleOf(this.#texts, trouble);
    // What was measured before the connection broke no longer holds.
    if (this.#codeField === null && this.#view.has("pace")) this.#view.part("pace").hidden = trouble !== null;
  }

  /** Everything is stored: shows the access code once more, when it is new, and has it typed back. */
  stored(): void {
    this.#view = view(this.#accessCode === null ? "view-joined" : "view-sent");
    const checks = this.#view.part("checks");
    for (const { name, digits } of [...this.#checks].sort((one, other) =>
      one.name.localeCompare(other.name, this.#texts.language),
    )) {
      const term = element("dt");
      term.append(element("bdi", name));
      const value = element("dd", digits);
      value.dir = "ltr";
      checks.append(term, value);
    }
    this.#view.part("covered").textContent = this.#covered();
    if (this.#accessCode !== null) this.#typeBack(this.#accessCode);
    show(this.#view.content);
  }

  /** What the check digits are of; a desk says the same of its side. */
  #covered(): string {
    if (this.#files === 0) return this.#texts.get("coversWords");
    if (this.#files === 1) return this.#texts.get("coversFile");
    return this.#texts.get("coversFiles", { count: this.#texts.number(this.#files) });
  }

  #typeBack(digits: string): void {
    const texts = this.#texts;
    const { part } = this.#view;
    part("access-code").replaceChildren(accessCode(digits));
    this.#codeField = new CodeField(texts, part("again-result"), this.#ask, digits, (unit) =>
      texts.get(unit === "digits" ? "againRight" : "againWords"),
    );
    this.#codeField.field.inputMode = "numeric";
    this.#codeField.field.setAttribute("aria-label", texts.get("againLabel"));
    part("again").append(this.#codeField.field);
    part("show-words").addEventListener("click", () => {
      part("trouble").textContent = texts.get("typedLoading");
      this.#ask({ kind: "spell", digits, language: texts.language });
    });
  }

  judged(turn: number, judgement: Judgement): void {
    this.#codeField?.judged(turn, judgement);
  }

  /** Shows the words beside the digits. */
  spelled(spelled: readonly string[] | null): void {
    if (spelled === null) {
      this.#view.part("trouble").textContent = this.#texts.get("unlisted");
      return;
    }
    const list = this.#view.part("words");
    list.replaceChildren(...spelled.map((word) => element("li", word)));
    list.hidden = false;
    this.#view.part("spelling").hidden = true;
    this.#view.part("trouble").textContent = "";
    if (this.#codeField !== null) this.#codeField.field.inputMode = "text";
  }

  wipe(): void {
    this.#codeField?.wipe();
    this.#accessCode = null;
    this.#checks = [];
  }
}
