// Typing a code, to read its answers or to continue its upload, and what stands there until they are. Their screens come
// in a script of their own, asked for beside the worker's that opens: its request tells nobody more than that one does.

import type { Code } from "../errors.js";
import type { FromWorker, Judgement, ToWorker } from "../messages.js";
import { importBeside } from "../net/beside.js";
import { CodeField } from "./code_field.js";
import { troubleOf } from "./delivery.js";
import type { screens } from "./opened/opened.js";
import type { Choice } from "./opened/uploads.js";
import { element, view } from "./screen.js";
import type { Texts } from "./texts.js";

/** What the page lends these screens, and those that come later. */
export interface Lent {
  readonly texts: Texts;
  readonly ask: (message: ToWorker) => void;
  /** Is called when the source wants to write back: with the ids of those who answered, and the digits. */
  readonly write: (answered: readonly string[], accessCode: string) => void;
  /** Shows a screen, with a way to what is written and not sent. */
  readonly show: (root: HTMLElement, first?: boolean) => void;
  /** Says why nobody can be written to, or nothing. */
  readonly closed: () => string;
  /** Is called when the source has chosen files of an upload. */
  readonly choose: (choice: Choice) => void;
  /** Runs an attempt until it succeeds, and says so where it does not. */
  readonly persist: <T>(name: string, attempt: () => Promise<T>) => Promise<T>;
}

interface Script {
  readonly screens: typeof screens;
}

let coming: Promise<Script> | null = null;

export class Opening {
  readonly #kind: "open" | "find";
  readonly #lent: Lent;
  readonly #open: HTMLElement;
  /** What is shown, except while the source is writing back. */
  readonly #root = element("div");
  /** Whether a mailbox is open here, or being opened. */
  isOpen = false;
  #codeField: CodeField | null = null;
  #screens: InstanceType<(typeof screens)["open" | "find"]> | null = null;
  /** What the screens are to hear, as long as they are not there. */
  #heard: FromWorker[] = [];

  /** `kind` says what is asked for: answers, or uploads. */
  constructor(kind: "open" | "find", lent: Lent) {
    const { texts, ask } = lent;
    this.#kind = kind;
    this.#lent = lent;
    const { part, content } = view(kind === "open" ? "view-open" : "view-continue");
    this.#codeField = new CodeField(texts, part("typed-result"), ask, null, () => texts.get("typedRight"));
    this.#codeField.field.setAttribute("aria-labelledby", "typed-title");
    if (kind === "open") this.#codeField.field.setAttribute("aria-describedby", "typed-hint");
    part("typed").append(this.#codeField.field);
    this.#open = part("open");
    this.#open.addEventListener("click", () => this.#ask());
    this.#root.append(content);
  }

  #ask(): void {
    const typed = this.#codeField?.value ?? "";
    const { texts, ask } = this.#lent;
    if (!/\S/.test(typed)) {
      this.#codeField?.say(texts.get("typedEmpty"));
      return;
    }
    // Lists of words may take minutes: a second press would open it all once more, over what is read or written then.
    this.#open.toggleAttribute("disabled", true);
    this.#codeField?.say(texts.get("loading"));
    ask({ kind: this.#kind, typed });
  }

  show(first = false): void {
    this.#lent.show(this.#root, first);
  }

  judged(turn: number, judgement: Judgement): void {
    this.#codeField?.judged(turn, judgement);
  }

  reading(trouble: Code | null): void {
    const place = this.#root.querySelector("[data-part=trouble]");
    if (place !== null) place.textContent = troubleOf(this.#lent.texts, trouble);
  }

  /** Hears of what is opened, and of what is in it. */
  hear(news: FromWorker): void {
    if (!this.#open.hasAttribute("disabled")) return; // it was asked for by another, of before
    const isRefused = (news.kind === "unread" || news.kind === "unfound") && news.code === "bad-passphrase";
    if (isRefused && this.#codeField !== null) {
      this.#open.toggleAttribute("disabled", false);
      this.#codeField?.refuse();
      return;
    }
    this.#heard.push(news);
    if (news.kind === "opening") {
      // The code is right, and its mailbox is being fetched.
      this.isOpen = true;
      this.#wipeField();
      this.#root.replaceChildren(view("view-opening").content);
      if (this.#root.isConnected) this.show();
    } else if (news.kind === "unread" || news.kind === "deleted") this.isOpen = false;
    coming ??= this.#lent.persist("opened", () => importBeside("opened.js") as Promise<Script>);
    void coming.then((script) => this.#tell(script));
  }

  #tell(script: Script): void {
    for (const news of this.#heard.splice(0)) {
      this.#wipeField();
      this.#screens ??= new script.screens[this.#kind](this.#lent, this.#root);
      this.#screens.hear(news);
    }
  }

  #wipeField(): void {
    this.#codeField?.wipe();
    this.#codeField = null;
  }

  /** Wipes everything. */
  wipe(): void {
    this.#wipeField();
    this.#heard = [];
    this.#screens?.wipe();
    this.#root.replaceChildren();
  }
}
