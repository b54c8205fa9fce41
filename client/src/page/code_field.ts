// A field for an access code, and the verdict on what is typed into it. The worker judges it; nothing typed leaves the
// device.

import type { Judgement, ToWorker } from "../messages.js";
import { field } from "./screen.js";
import type { Texts } from "./texts.js";

/** Counts what was typed, in all fields: so each knows a verdict on its own by its turn. */
let turns = 0;

export class CodeField {
  readonly field = field("textarea"); // an <input> would scroll part of the code out of sight on phones
  readonly #texts: Texts;
  readonly #result: HTMLElement;
  #turn = 0;
  #known = "";

  /**
   * `result` shows the verdict. `digits` is what should be typed, or `null` if that is unknown; `right` gives the text
   * for a code that is right.
   */
  constructor(
    texts: Texts,
    result: HTMLElement,
    ask: (message: ToWorker) => void,
    digits: string | null,
    readonly right: (unit: Judgement["unit"]) => string,
  ) {
    this.#texts = texts;
    this.#result = result;
    this.field.rows = 3;
    this.field.dir = "ltr"; // groups of digits would stand the other way round where the page does
    this.field.addEventListener("input", () => {
      this.#turn = ++turns;
      ask({ kind: "judge", turn: this.#turn, typed: this.field.value, digits });
    });
  }

  get value(): string {
    return this.field.value;
  }

  /** Shows what the worker found; false when it is of another field, or this one has changed since. */
  judged(turn: number, judgement: Judgement): boolean {
    if (turn !== this.#turn) return false;
    this.#known = this.#sentence(judgement);
    this.say(this.#known);
    this.field.setAttribute("aria-invalid", String(judgement.state === "wrong"));
    return true;
  }

  say(sentence: string): void {
    this.#result.textContent = sentence;
  }

  /** Says that the code cannot be used yet, and why if that is known. */
  refuse(): void {
    this.say(`${this.#texts.get("typedRefused")} ${this.#known}`);
    this.field.focus();
  }

  wipe(): void {
    this.#turn = 0;
    this.field.value = "";
    this.say("");
  }

  #sentence({ unit, state, count, all, at }: Judgement): string {
    const number = this.#texts.number(at ?? 0);
    switch (state) {
      case "loading":
        return this.#texts.get("typedLoading");
      case "unlisted":
        return this.#texts.get("unlisted");
      case "right":
        return this.right(unit);
      case "wrong":
        if (unit === "digits")
          return at === null ? this.#texts.get("wrongDigits") : this.#texts.get("wrongGroup", { number });
        return at === null ? this.#texts.get("wrongWords") : this.#texts.get("wrongWord", { number });
      case "unfinished":
        if (count === 0 || all === 0) return "";
        return this.#texts.get("typedCount", { count: this.#texts.number(count), all: this.#texts.number(all) });
    }
  }
}
