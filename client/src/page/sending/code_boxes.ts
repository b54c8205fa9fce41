// An access code that is typed back from paper: six short boxes, each of which turns right or wrong. All of it is judged
// here: the page has just shown these digits.

import { readLookalikes } from "../../formats/base/lookalikes.js";
import { element, field } from "../screen.js";
import type { Texts } from "../texts.js";

const GROUP = 6;
/** Digits of other keyboards, the zero of each at a number that ends in zero: Arabic, Persian, full width. */
const OTHERS = /[\u0660-\u0669\u06f0-\u06f9\uff10-\uff19]/g;

/** The digits of what was typed: those of other scripts, and letters that look like one; all else is passed over. */
export function digitsOf(typed: string): string {
  const digits = readLookalikes(typed).replace(OTHERS, (digit) => String(digit.charCodeAt(0) & 15));
  // A copied list brings its numbers along: "1. 005192".
  return digits.replace(/(^|[^0-9])[1-6][.)]\s*(?=[0-9]{6})/g, "$1").replace(/[^0-9]/g, "");
}

export class CodeBoxes {
  readonly root = element("div");
  readonly #texts: Texts;
  readonly #result: HTMLElement;
  readonly #groups: readonly string[];
  readonly #boxes: readonly HTMLInputElement[];
  readonly #marks: readonly HTMLElement[];

  /** `digits` is what should be typed; `right` is called once all of it is. `result` says what is wrong. */
  constructor(
    texts: Texts,
    result: HTMLElement,
    digits: string,
    readonly right: () => void,
  ) {
    this.#texts = texts;
    this.#result = result;
    this.#groups = digits.split(" ");
    this.#marks = this.#groups.map(() => element("span"));
    this.#boxes = this.#groups.map((_, at) => this.#box(at));
    this.root.className = "boxes";
    this.root.dir = "ltr";
    this.root.append(
      ...this.#boxes.map((box, at) => {
        const label = element("label");
        const number = element("span", texts.number(at + 1));
        for (const shown of [number, this.#marks[at] ?? number]) shown.setAttribute("aria-hidden", "true");
        number.className = "quiet";
        label.append(number, box, this.#marks[at] ?? "");
        return label;
      }),
    );
  }

  focus(): void {
    this.#boxes[0]?.focus();
  }

  #box(at: number): HTMLInputElement {
    const box = field("input");
    box.inputMode = "numeric";
    box.size = GROUP;
    box.setAttribute("aria-label", this.#texts.get("groupLabel", { number: this.#texts.number(at + 1) }));
    box.addEventListener("input", () => this.#typed(at, box.value));
    box.addEventListener("paste", (event) => {
      const pasted = event.clipboardData?.getData("text") ?? "";
      if (digitsOf(pasted).length < GROUP) return;
      event.preventDefault(); // a box would join the lines, and their numbers with the digits before
      this.#typed(at, pasted);
    });
    box.addEventListener("keydown", ({ key }) => {
      if (key === "Backspace" && box.value === "") this.#boxes[at - 1]?.focus();
    });
    return box;
  }

  /** What is more than a group goes on in the next box: so all of it can be pasted into one. */
  #typed(at: number, text: string): void {
    let typed = digitsOf(text);
    if (typed.length >= GROUP) {
      let last = at;
      for (let next = at; typed !== "" && next < this.#boxes.length; next++, typed = typed.slice(GROUP)) {
        const filled = this.#boxes[next];
        if (filled !== undefined) filled.value = typed.slice(0, GROUP);
        last = next;
      }
      if (this.#isRight(at)) this.#boxes[Math.min(last + 1, this.#boxes.length - 1)]?.focus();
    }
    this.#judge();
  }

  /** Shows how one group stands. */
  #mark(at: number): string {
    const box = this.#boxes[at];
    const isWhole = digitsOf(box?.value ?? "").length >= GROUP;
    const verdict = this.#isRight(at) ? "right" : "wrong";
    const state = isWhole ? verdict : "";
    box?.setAttribute("aria-invalid", String(state === "wrong"));
    if (box?.parentElement) box.parentElement.dataset["state"] = state;
    const mark = this.#marks[at];
    if (mark !== undefined) mark.textContent = { right: "✓", wrong: "✗", "": "" }[state] ?? "";
    return state;
  }

  #isRight(at: number): boolean {
    return digitsOf(this.#boxes[at]?.value ?? "") === this.#groups[at];
  }

  #judge(): void {
    const states = this.#boxes.map((_, at) => this.#mark(at));
    const wrong = states.indexOf("wrong");
    this.#result.textContent =
      wrong < 0 ? "" : this.#texts.get("wrongGroup", { number: this.#texts.number(wrong + 1) });
    if (states.every((state) => state === "right")) this.right();
  }

  wipe(): void {
    for (const box of this.#boxes) box.value = "";
    this.#result.textContent = "";
  }
}
