// One delivery, from "Seal and send" to what arrived: the screen while it is sent, and what is known of it.

import type { Code } from "../errors.js";
import type { CheckDigits, FromWorker, Judgement, Missing, Order, Spelled, ToWorker, Work } from "../messages.js";
import { accessCode, show, type View, view } from "./screen.js";
import { type Account, Arrived, missingOf, reasonOf } from "./sending/arrived.js";
import { Files, folded, Item } from "./sending/items.js";
import { Awake, Countdown, Milestones } from "./sending/waiting.js";
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

/** The screen while something is sent. */
class Sending {
  readonly view: View = view("view-sending");
  readonly #texts: Texts;
  readonly #order: Order;
  readonly #words: Item | null;
  readonly #files: Files;
  readonly #skipped = new Set<number>();
  readonly #awake = new Awake();
  readonly #countdown: Countdown;
  readonly #milestones: Milestones;

  constructor(texts: Texts, ask: (message: ToWorker) => void, order: Order, hasWords: boolean) {
    this.#texts = texts;
    this.#order = order;
    const { part } = this.view;
    this.#countdown = new Countdown(texts, this.view, () => ask({ kind: "retry" }));
    this.#milestones = new Milestones(texts, part("told"));
    this.#words = order.message.length > 0 || hasWords ? new Item(texts.get("yourText")) : null;
    this.#files = new Files(texts, order.files);
    const rows = [...(this.#words === null ? [] : [this.#words.row]), ...this.#files.rows];
    folded(part("items"), rows, texts.get("allFiles", { count: texts.number(order.files.length) }));
    part("stop").addEventListener("click", () => ask({ kind: "stop" }));
    part("agree").addEventListener("click", () => {
      part("question").hidden = true;
      ask({ kind: "agree" });
    });
    if (hasWords) this.words();
    show(this.view.content);
  }

  words(): void {
    const { part } = this.view;
    this.#words?.set("arrived", this.#texts.get("arrived"));
    part("words-stored").hidden = false;
    part("keep-open").hidden = true;
    // Nothing of the files is sent yet: what was told before was of the words.
    this.#numbers(0);
  }

  skipped(index: number, code: Code): void {
    this.#skipped.add(index);
    this.#files.set(index, "lost", reasonOf(this.#texts, code));
  }

  #numbers(bytes: number): void {
    const texts = this.#texts;
    const total = this.#order.files.reduce((sum, { size }, at) => sum + (this.#skipped.has(at) ? 0 : size), 0);
    if (total === 0) return;
    const done = texts.size(Math.min(bytes, total));
    this.view.part("numbers").textContent = texts.get("filesSent", { done, total: texts.size(total) });
    this.#files.progress(bytes, (index) => this.#skipped.has(index));
  }

  progress(news: FromWorker & { kind: "progress" }): void {
    const texts = this.#texts;
    const { part } = this.view;
    const share = news.bytes / news.total;
    (part("bar") as HTMLProgressElement).value = share;
    this.#milestones.reach(share);
    this.#awake.moved();
    if (this.#order.files.length > 0) this.#numbers(news.plain);
    else
      part("numbers").textContent = texts.get("sent", { done: texts.size(news.bytes), total: texts.size(news.total) });
    const { rate, remaining } = news;
    const pace =
      rate === null || remaining === null
        ? []
        : [texts.rate(rate), texts.get("remaining", { time: texts.time(remaining) })];
    part("pace").textContent = pace.map((piece) => ` · ${piece}`).join("");
  }

  trouble(trouble: Code | null, pause: number | null): void {
    const { part } = this.view;
    part("trouble").textContent = troubleOf(this.#texts, trouble);
    this.#countdown.begin(trouble === null ? null : pause);
    // What was measured before the connection broke no longer holds.
    part("pace").hidden = trouble !== null;
  }

  working(work: Work | null): void {
    const texts = this.#texts;
    const told = this.view.part("work");
    if (work !== null) this.#awake.moved();
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

  end(): void {
    this.#awake.release();
    this.#countdown.end();
  }
}

export class Delivery {
  readonly #texts: Texts;
  readonly #ask: (message: ToWorker, transfer?: Transferable[]) => void;
  readonly #names: readonly string[];
  #order: Order;
  #sending: Sending;
  #arrived: Arrived | null = null;
  #accessCode: string | null = null;
  #inDoubt: boolean;
  #isLater: boolean;
  /** Whether something was written. */
  readonly #isWritten: boolean;
  /** Whether something of it is stored. */
  #hasPart = false;
  #checks: readonly CheckDigits[] = [];
  /** Files that arrived. */
  #stored: readonly File[] = [];

  /** `names` are those of the chosen organisations; `begin` is asked in place of sending all of the order. */
  constructor(
    texts: Texts,
    ask: (message: ToWorker, transfer?: Transferable[]) => void,
    order: Order,
    names: readonly string[],
    begin: ToWorker | null = null,
  ) {
    this.#texts = texts;
    this.#ask = ask;
    this.#order = order;
    this.#names = names;
    this.#isWritten = order.message.length > 0;
    // What is gone on with lies there, and words may have gone before it.
    this.#inDoubt = begin !== null;
    this.#isLater = begin !== null;
    this.#sending = new Sending(texts, ask, order, false);
    if (begin === null) this.#send();
    else ask(begin);
  }

  #send(): void {
    this.#ask({ kind: "send", order: this.#order }, [this.#order.message.buffer]);
  }

  /** The new access code, once it may have answers and until it is told with what arrived. */
  get accessCode(): string | null {
    return this.#arrived === null ? this.#accessCode : null;
  }

  /** Whether the message may have arrived although sending failed. */
  get inDoubt(): boolean {
    return this.#inDoubt;
  }

  /** Whether the code continues what is there. */
  get isLater(): boolean {
    return this.#isLater;
  }

  /** Whether leaving now would lose something: what is being sent, or a code that nobody has yet. */
  get isOpen(): boolean {
    return this.#arrived === null || this.#arrived.isOpen;
  }

  /** The words are stored by themselves. */
  words(): void {
    this.#hasPart = true;
    this.#sending.words();
  }

  /** The code continues the upload from now on. */
  continuable(): void {
    const { part } = this.#sending.view;
    this.#isLater = true;
    part("later").hidden = false;
    part("keep-open").hidden = true;
  }

  /** The server asks for much work: so does the page. */
  asked(seconds: number): void {
    const { part } = this.#sending.view;
    part("asked").textContent = this.#texts.get("workAsked", { time: this.#texts.time(seconds) });
    part("question").hidden = false;
  }

  /** The message may have arrived, under this new access code or a known one. */
  doubt(digits: string | null): void {
    this.#inDoubt = true;
    this.letter(digits);
  }

  letter(digits: string | null): void {
    this.#accessCode ??= digits;
    if (digits !== null) this.#sending.view.part("access-code").replaceChildren(accessCode(digits));
  }

  /** An Envelope is stored; the check digits cover it and what is before it. */
  sealed(checks: readonly CheckDigits[]): void {
    this.#checks = checks;
  }

  skipped(file: number, code: Code): void {
    this.#sending.skipped(file, code);
  }

  progress(news: FromWorker & { kind: "progress" }): void {
    this.#sending.progress(news);
  }

  /** Says that a place is worked for; nothing when it is done. */
  working(work: Work | null): void {
    this.#sending.working(work);
  }

  trouble(trouble: Code | null, pause: number | null): void {
    this.#sending.trouble(trouble, pause);
  }

  /** The same of what is read. */
  reading(trouble: Code | null): void {
    this.#arrived?.trouble(troubleOf(this.#texts, trouble));
  }

  /** It ended: shows what is stored and what is not; the access code once more, when it is new. */
  stored({ missing, inDoubt, elsewhere, continues }: Omit<FromWorker & { kind: "stored" }, "kind">): void {
    this.#sending.end();
    this.#hasPart = true;
    const { files, accessCode: known } = this.#order;
    const lost = new Set(missing.map(({ file }) => file));
    this.#stored = [...this.#stored, ...files.filter((_, index) => !lost.has(index))];
    const account: Account = {
      hasWords: this.#isWritten,
      files: this.#stored,
      missing: missingOf(files, missing),
      inDoubt,
      isLater: this.#isLater,
      elsewhere,
      names: this.#names,
      checks: this.#checks,
    };
    const digits = this.#accessCode ?? known;
    const again =
      continues === "" || digits === null ? null : (more: readonly File[]) => this.#sendMore(more, continues);
    this.#arrived = new Arrived(this.#texts, this.#ask, account, this.#accessCode, again);
  }

  /** Says what is stored when something is and the rest failed; true when nothing else is to be said. */
  lost(code: Code): boolean {
    if (this.#arrived !== null) return this.#arrived.isShown;
    if (!this.#hasPart) return false;
    const missing: Missing[] = this.#order.files.map((_, file) => ({ file, code }));
    const continues = this.#order.continues ?? "";
    this.stored({ missing, inDoubt: this.#inDoubt, elsewhere: false, continues });
    return true;
  }

  /** Sends files behind what is stored of this tip. */
  #sendMore(files: readonly File[], continues: string): void {
    const digits = this.#accessCode;
    const known = digits ?? this.#order.accessCode;
    this.#order = { ...this.#order, message: new Uint8Array(), files, accessCode: known, continues, replaces: null };
    this.#arrived = null;
    this.#sending = new Sending(this.#texts, this.#ask, this.#order, this.#isWritten);
    if (digits !== null) this.#sending.view.part("access-code").replaceChildren(accessCode(digits));
    this.#send();
  }

  judged(turn: number, judgement: Judgement): void {
    this.#arrived?.judged(turn, judgement);
  }

  /** Shows the words beside the digits. */
  spelled(spelled: Spelled | null): void {
    this.#arrived?.spelled(spelled);
  }

  wipe(): void {
    this.#sending.end();
    this.#arrived?.wipe();
    this.#accessCode = null;
    this.#checks = [];
    this.#stored = [];
  }
}
