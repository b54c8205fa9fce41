// The screens of one sending, from "Seal and send" to "Stored".

import type { Code } from "../errors.js";
import type { Check, FromWorker, Judgement, ToWorker } from "../messages.js";
import { passphrase, show } from "./screen.js";
import type { Words } from "./texts.js";
import { Typing } from "./typing.js";
import { element, type View, view } from "./views.js";

/** The words for each trouble that passes by itself. */
const TROUBLES: Partial<Record<Code, string>> = {
  "slow-down": "lineSlowDown",
  unavailable: "lineUnavailable",
  network: "lineNetwork",
};

/** The words for a line in trouble; none for one that works. */
export function troubleOf(words: Words, trouble: Code | null): string {
  return trouble === null ? "" : words.get(TROUBLES[trouble] ?? "lineNetwork");
}

export class Sending {
  readonly #words: Words;
  readonly #ask: (message: ToWorker) => void;
  #view: View = view("view-sending");
  #passphrase: string | null = null;
  #checks: readonly Check[] = [];
  #typing: Typing | null = null;

  constructor(words: Words, ask: (message: ToWorker) => void) {
    this.#words = words;
    this.#ask = ask;
    this.#view.part("stop").addEventListener("click", () => ask({ kind: "stop" }));
    show(this.#view.content);
  }

  /** Whether an access code was shown that was to open the answers. */
  get promised(): boolean {
    return this.#passphrase !== null;
  }

  letter(digits: string | null, checks: readonly Check[]): void {
    this.#passphrase = digits;
    this.#checks = checks;
    if (digits !== null) this.#view.part("passphrase").replaceChildren(passphrase(digits));
  }

  progress(news: FromWorker & { kind: "progress" }): void {
    const words = this.#words;
    const bar = this.#view.part("bar");
    if (bar instanceof HTMLProgressElement) bar.value = news.bytes / news.total;
    this.#view.part("numbers").textContent = words.get("sent", {
      done: words.size(news.bytes),
      total: words.size(news.total),
    });
    const { rate, remaining } = news;
    const pace =
      rate === null || remaining === null
        ? []
        : [words.rate(rate), words.get("remaining", { time: words.time(remaining) })];
    this.#view.part("pace").textContent = pace.map((piece) => ` · ${piece}`).join("");
  }

  trouble(trouble: Code | null): void {
    this.#view.part("trouble").textContent = troubleOf(this.#words, trouble);
    if (this.#typing === null && this.#view.has("pace")) this.#view.part("pace").hidden = trouble !== null; // what was true before the line broke
  }

  /** Everything is stored: shows the access code once more, when it is new, and has it typed back. */
  stored(): void {
    this.#view = view("view-sent");
    const checks = this.#view.part("checks");
    for (const { name, digits } of [...this.#checks].sort((one, other) =>
      one.name.localeCompare(other.name, this.#words.language),
    )) {
      const term = element("dt");
      term.append(element("bdi", name));
      const value = element("dd", digits);
      value.dir = "ltr";
      checks.append(term, value);
    }
    if (this.#passphrase !== null) this.#typeBack(this.#passphrase);
    show(this.#view.content);
  }

  #typeBack(digits: string): void {
    const words = this.#words;
    const { part } = this.#view;
    part("passphrase").replaceChildren(passphrase(digits));
    this.#typing = new Typing(words, part("again-result"), this.#ask, digits, (unit) =>
      words.get(unit === "digits" ? "againRight" : "againWords"),
    );
    this.#typing.field.inputMode = "numeric";
    this.#typing.field.setAttribute("aria-label", words.get("againLabel"));
    part("again").append(this.#typing.field);
    part("show-words").addEventListener("click", () => {
      part("trouble").textContent = words.get("typedLoading");
      this.#ask({ kind: "spell", digits, language: words.language });
    });
  }

  judged(turn: number, judgement: Judgement): void {
    this.#typing?.judged(turn, judgement);
  }

  /** Shows the words beside the digits. */
  spelled(spelled: readonly string[] | null): void {
    if (spelled === null) {
      this.#view.part("trouble").textContent = this.#words.get("unlisted");
      return;
    }
    const list = this.#view.part("words");
    list.replaceChildren(...spelled.map((word) => element("li", word)));
    list.hidden = false;
    this.#view.part("spelling").hidden = true;
    this.#view.part("trouble").textContent = "";
    if (this.#typing !== null) this.#typing.field.inputMode = "text";
  }

  wipe(): void {
    this.#typing?.wipe();
    this.#passphrase = null;
    this.#checks = [];
  }
}
