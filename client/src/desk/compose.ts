// Words that are being written: each pause seals them into the vault, so that neither a lock nor a crash loses them.

import { ask, Locked, sayLast } from "./line.js";

const PAUSE = 500;
const AGAIN = 1500;
/** Words are kept so often, also while nobody pauses. */
const LONGEST = 3000;

/** What is being written on the thread that is shown. */
export class Compose {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isKept = true;
  #since = 0;
  #saving: Promise<void> = Promise.resolve();
  readonly #screen: HTMLElement;
  readonly #section: HTMLElement;
  readonly #field: HTMLTextAreaElement;
  readonly #onLocked: () => void;

  constructor(screen: HTMLElement, section: HTMLElement, field: HTMLTextAreaElement, onLocked: () => void) {
    this.#screen = screen;
    this.#section = section;
    this.#field = field;
    this.#onLocked = onLocked;
    field.addEventListener("input", () => this.#changed());
  }

  /** What a request about this answer says of it, when all of it is kept. */
  async kept(): Promise<[string, string][]> {
    await this.flush();
    return this.#fields;
  }

  get #fields(): [string, string][] {
    return [
      ["thread", this.#screen.dataset["thread"] ?? ""],
      ["text", this.#field.value],
      ["draft", this.#section.dataset["draft"] ?? ""],
    ];
  }

  /** Puts words that are ready in front of what is there, or in its place when nothing is. */
  begin(words: string): void {
    const before = this.#field.value;
    this.#field.value = before ? `${before.trimEnd()}\n\n${words} ` : `${words} `;
    this.#field.focus();
    this.#changed();
  }

  /** Into the field. */
  focus(): void {
    this.#field.focus();
    this.#field.scrollIntoView({ block: "center" });
  }

  /** Waits until all that was written is kept. */
  async flush(): Promise<void> {
    if (!this.#isKept) this.#save();
    await this.#saving;
  }

  /** What sealing the answer takes; null while there are neither words nor files. */
  async answer(): Promise<[string, string][] | null> {
    if (!(this.#field.value.trim() || this.#section.querySelector("[data-detach]"))) {
      this.focus();
      return null;
    }
    await this.flush();
    return [...this.#fields, ["tip", this.#section.dataset["tip"] ?? ""]];
  }

  /** The page is closing: says what is not kept yet. */
  close(): void {
    globalThis.clearTimeout(this.#timer);
    if (!this.#isKept) sayLast("/thread/draft", this.#fields);
    this.#isKept = true;
  }

  #changed(): void {
    if (this.#isKept) this.#since = Date.now();
    this.#isKept = false;
    this.#later(Math.max(0, Math.min(PAUSE, this.#since + LONGEST - Date.now())));
  }

  #later(pause: number): void {
    globalThis.clearTimeout(this.#timer);
    this.#timer = globalThis.setTimeout(() => this.#save(), pause);
  }

  #save(): void {
    globalThis.clearTimeout(this.#timer);
    this.#saving = this.#saving.then(() => this.#keep());
  }

  async #keep(): Promise<void> {
    if (this.#isKept) return;
    const fields = this.#fields;
    try {
      const kept = JSON.parse(await ask("/thread/draft", fields)) as { draft: string };
      this.#section.dataset["draft"] = kept.draft;
      this.#isKept = this.#field.value === fields[1]?.[1];
      this.#since = Date.now();
      this.#say(kept.draft ? "kept-text" : "");
    } catch (error) {
      if (error instanceof Locked) {
        this.#onLocked();
        return;
      }
      this.#say("unkept-text");
      this.#later(AGAIN);
    }
  }

  #say(which: string): void {
    const line = document.getElementById("kept");
    if (line) line.textContent = (which && document.getElementById(which)?.textContent) || "";
  }
}
