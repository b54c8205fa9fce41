// The screens of a mailbox: typing the access code, the answers and their files, and deleting them.

import type { Code } from "../errors.js";
import type { Answer, FromWorker, Judgement, PendingReply, ToWorker } from "../messages.js";
import { CodeField } from "./code_field.js";
import { troubleOf } from "./delivery.js";
import { Download } from "./download.js";
import { breakLongText, element, show, type View, view } from "./screen.js";
import type { Texts } from "./texts.js";

export class Inbox {
  readonly #texts: Texts;
  readonly #ask: (message: ToWorker) => void;
  readonly #write: (answered: readonly string[], accessCode: string) => void;
  readonly #closed: () => string;
  #view: View = view("view-open");
  #codeField: CodeField | null = null;
  /** What is shown, except while the source is writing back. */
  #root = element("div");
  /** Ids of the organisations whose answers are shown. */
  readonly #answered = new Set<string>();
  /** Rows of letters that are still to be fetched, by reply id. */
  readonly #rows = new Map<string, HTMLElement>();
  /** Files by reply id and number: `id/number`. */
  readonly #downloads = new Map<string, Download>();
  #others = 0;

  /**
   * `write` is called when the source wants to write back: with the ids of those who answered, and the digits. `closed`
   * says why nobody can be written to, or nothing.
   */
  constructor(
    texts: Texts,
    ask: (message: ToWorker) => void,
    write: (answered: readonly string[], accessCode: string) => void,
    closed: () => string,
  ) {
    this.#texts = texts;
    this.#ask = ask;
    this.#write = write;
    this.#closed = closed;
    const { part } = this.#view;
    this.#codeField = new CodeField(texts, part("typed-result"), ask, null, () => texts.get("typedRight"));
    this.#codeField.field.setAttribute("aria-labelledby", "typed-title");
    this.#codeField.field.setAttribute("aria-describedby", "typed-hint");
    part("typed").append(this.#codeField.field);
    part("open").addEventListener("click", () => this.#open());
    this.#root.append(this.#view.content);
    show(this.#root, true);
  }

  #open(): void {
    const typed = this.#codeField?.value ?? "";
    if (!/\S/.test(typed)) {
      this.#codeField?.say(this.#texts.get("typedEmpty"));
      return;
    }
    // Lists of words may take minutes: a second press would open it all once more, over what is read or written then.
    this.#view.part("open").toggleAttribute("disabled", true);
    this.#ask({ kind: "open", typed });
  }

  /** What was typed is not an access code. */
  refused(): void {
    this.#view.part("open").toggleAttribute("disabled", false);
    this.#codeField?.refuse();
  }

  judged(turn: number, judgement: Judgement): void {
    this.#codeField?.judged(turn, judgement);
  }

  /** The access code is right, and its mailbox is being fetched. */
  opening(): void {
    this.#codeField?.wipe();
    this.#codeField = null;
    this.#set(view("view-opening"));
    show(this.#root);
  }

  trouble(trouble: Code | null, _pause?: number | null): void {
    if (this.#view.has("trouble")) this.#view.part("trouble").textContent = troubleOf(this.#texts, trouble);
  }

  opened({ accessCode, replies, pending, others, leftOut }: FromWorker & { kind: "opened" }): void {
    this.#set(view("view-mailbox"));
    const { part } = this.#view;
    for (const answer of replies) part("replies").append(this.#reply(answer));
    for (const one of pending) part("waiting").append(this.#wait(one));
    this.#count(others);
    if (leftOut > 0) {
      part("left-out").textContent = this.#texts.counted("leftOut", leftOut);
    }
    part("none").hidden = replies.length + pending.length > 0;
    part("deleting").hidden = replies.length === 0;
    const closed = this.#closed();
    part("closed").textContent = closed;
    part("closed").hidden = closed === "";
    part("write").hidden = closed !== "";
    part("write").addEventListener("click", () => this.#write([...this.#answered], accessCode));
    part("delete").addEventListener("click", () => this.#confirm(true));
    part("keep").addEventListener("click", () => this.#confirm(false));
    part("really").addEventListener("click", () => this.#delete());
    show(this.#root);
  }

  #delete(): void {
    // It cannot be called back any more: there is nothing left to press.
    const confirm = this.#view.part("confirm");
    confirm.setAttribute("role", "status");
    confirm.replaceChildren(element("p", this.#texts.get("deleting")));
    this.#ask({ kind: "delete" });
  }

  /** Shows how it ended; later, when the source is writing just now: what is written must not be lost. */
  #end(screen: View): void {
    const isSeen = this.#root.isConnected;
    this.wipe();
    this.#set(screen);
    if (isSeen) show(this.#root);
  }

  #set(screen: View): void {
    this.#view = screen;
    this.#root = element("div");
    this.#root.append(screen.content);
  }

  /** Shows the answers again. */
  show(): void {
    show(this.#root);
  }

  loaded(reply: string, answer: Answer | null): void {
    const row = this.#rows.get(reply);
    if (row === undefined) return; // all was wiped meanwhile
    if (answer === null) {
      row.replaceChildren(this.#texts.get("unproven"));
      return;
    }
    row.remove();
    this.#view.part("replies").append(this.#reply(answer));
    this.#view.part("deleting").hidden = false;
  }

  fetching({ reply, file, bytes, total }: FromWorker & { kind: "fetching" }): void {
    this.#downloads.get(`${reply}/${file}`)?.progress(bytes, total);
  }

  fetched({ reply, file, blob }: FromWorker & { kind: "fetched" }): void {
    const download = this.#downloads.get(`${reply}/${file}`);
    if (blob === null) download?.damaged();
    else download?.whole(blob);
  }

  deleted(): void {
    this.#end(view("view-deleted"));
  }

  /** What came from the server cannot be used; `deleting`: when answers were to be deleted. */
  unread(code: Code, deleting: boolean): void {
    const screen = view("view-unread");
    screen.part("code").textContent = code;
    screen.part("untouched").hidden = deleting;
    screen.part("doubt").hidden = !deleting;
    this.#end(screen);
  }

  /** Wipes everything. */
  wipe(): void {
    this.#codeField?.wipe();
    this.#codeField = null;
    for (const download of this.#downloads.values()) download.revoke();
    this.#downloads.clear();
    this.#rows.clear();
    this.#answered.clear();
    this.#root.replaceChildren();
  }

  #confirm(asked: boolean): void {
    this.#view.part("deleting").hidden = asked;
    this.#view.part("confirm").hidden = !asked;
    this.#view.part(asked ? "keep" : "delete").focus();
  }

  #count(others: number): void {
    this.#others += others;
    this.#view.part("others").textContent =
      this.#others === 0 ? "" : this.#texts.get("others", { count: this.#texts.number(this.#others) });
  }

  #reply(answer: Answer): DocumentFragment {
    const { content, part } = view("view-reply");
    this.#answered.add(answer.organisation);
    part("from").textContent = answer.from ?? this.#texts.get("unknownOrganisation");
    part("day").textContent = this.#texts.day(answer.day);
    part("text").textContent = answer.text;
    breakLongText(part("text"), answer.text);
    part("file-hint").hidden = answer.files.length === 0;
    part("files").append(...answer.files.map((_, index) => this.#file(answer, index)));
    return content;
  }

  #wait({ id, day, size }: PendingReply): HTMLLIElement {
    const row = element("li");
    const load = element("button", this.#texts.get("load", { size: this.#texts.size(size) }));
    load.type = "button";
    load.addEventListener("click", () => {
      load.replaceWith(this.#texts.get("loading"));
      this.#ask({ kind: "load", reply: id });
    });
    row.append(element("span", this.#texts.get("more", { day: this.#texts.day(day) })), load);
    this.#rows.set(id, row);
    return row;
  }

  #file({ id, files }: Answer, index: number): HTMLLIElement {
    const download = new Download(this.#texts, files[index] ?? { name: "", size: 0 }, () => {
      this.#ask({ kind: "fetch", reply: id, file: index });
    });
    this.#downloads.set(`${id}/${index}`, download);
    return download.row;
  }
}
