// The screens of a mailbox: the access code is typed, answers are shown, files are offered, all of it may be deleted.

import type { Code } from "../errors.js";
import type { Answer, FromWorker, Judgement, ToWorker, Waiting } from "../messages.js";
import { Download } from "./download.js";
import { show } from "./screen.js";
import { troubleOf } from "./sent.js";
import type { Words } from "./texts.js";
import { Typing } from "./typing.js";
import { element, type View, view } from "./views.js";

/** Characters from which on a text may be broken anywhere. */
const LONG_TEXT = 20_000;

export class Inbox {
  readonly #words: Words;
  readonly #ask: (message: ToWorker) => void;
  readonly #write: (answered: readonly string[], passphrase: string) => void;
  #view: View = view("view-open");
  #typing: Typing | null = null;
  #root = element("div");
  /** Organisations whose answers are shown, by id. */
  readonly #answered = new Set<string>();
  /** Rows of letters that were not fetched, by reply; those of files by reply and number. */
  readonly #rows = new Map<string, HTMLElement>();
  readonly #downloads = new Map<string, Download>();
  #others = 0;

  /** `write` is called with the ids of those who answered, and the digits, when the source wants to write back. */
  constructor(
    words: Words,
    ask: (message: ToWorker) => void,
    write: (answered: readonly string[], passphrase: string) => void,
  ) {
    this.#words = words;
    this.#ask = ask;
    this.#write = write;
    const { part } = this.#view;
    this.#typing = new Typing(words, part("typed-result"), ask, null, () => words.get("typedRight"));
    this.#typing.field.setAttribute("aria-labelledby", "typed-title");
    this.#typing.field.setAttribute("aria-describedby", "typed-hint");
    part("typed").append(this.#typing.field);
    part("open").addEventListener("click", () => this.#open());
    this.#root.append(this.#view.content);
    show(this.#root, true);
  }

  #open(): void {
    const typed = this.#typing?.value ?? "";
    if (/\S/.test(typed)) this.#ask({ kind: "open", typed });
    else this.#typing?.say(this.#words.get("typedEmpty"));
  }

  /** What was typed is no access code. */
  refused(): void {
    this.#typing?.refuse();
  }

  judged(turn: number, judgement: Judgement): void {
    this.#typing?.judged(turn, judgement);
  }

  /** The access code is right, and its mailbox is being fetched. */
  opening(): void {
    this.#typing?.wipe();
    this.#typing = null;
    this.#view = view("view-opening");
    show(this.#view.content);
  }

  trouble(trouble: Code | null): void {
    this.#view.part("trouble").textContent = troubleOf(this.#words, trouble);
  }

  opened({ passphrase, replies, waiting, others }: FromWorker & { kind: "opened" }): void {
    this.#view = view("view-mailbox");
    const { part } = this.#view;
    for (const answer of replies) part("replies").append(this.#reply(answer));
    for (const one of waiting) part("waiting").append(this.#wait(one));
    this.#count(others);
    part("none").hidden = replies.length + waiting.length > 0;
    part("deleting").hidden = replies.length === 0;
    part("write").addEventListener("click", () => this.#write([...this.#answered], passphrase));
    part("delete").addEventListener("click", () => this.#confirm(true));
    part("keep").addEventListener("click", () => this.#confirm(false));
    part("really").addEventListener("click", () => this.#ask({ kind: "delete" }));
    this.#root = element("div");
    this.#root.append(this.#view.content);
    show(this.#root);
  }

  /** Back to the answers. */
  show(): void {
    show(this.#root);
  }

  loaded(reply: string, answer: Answer | null): void {
    const row = this.#rows.get(reply);
    if (answer === null) {
      row?.replaceChildren(this.#words.get("unproven"));
      return;
    }
    row?.remove();
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
    this.wipe();
    this.#view = view("view-deleted");
    show(this.#view.content);
  }

  /** Forgets everything. */
  wipe(): void {
    this.#typing?.wipe();
    this.#typing = null;
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
      this.#others === 0 ? "" : this.#words.get("others", { count: this.#words.number(this.#others) });
  }

  #reply(answer: Answer): DocumentFragment {
    const { content, part } = view("view-reply");
    this.#answered.add(answer.organisation.id);
    part("from").textContent = answer.organisation.name;
    part("day").textContent = this.#words.day(answer.day);
    part("text").textContent = answer.text;
    part("text").classList.toggle("long", answer.text.length > LONG_TEXT);
    part("file-hint").hidden = answer.files.length === 0;
    part("files").append(...answer.files.map((_, index) => this.#file(answer, index)));
    return content;
  }

  #wait({ id, day, size }: Waiting): HTMLLIElement {
    const row = element("li");
    const load = element("button", this.#words.get("load", { size: this.#words.size(size) }));
    load.type = "button";
    load.addEventListener("click", () => {
      load.replaceWith(this.#words.get("loading"));
      this.#ask({ kind: "load", reply: id });
    });
    row.append(element("span", this.#words.get("more", { day: this.#words.day(day) })), load);
    this.#rows.set(id, row);
    return row;
  }

  #file({ id, files }: Answer, index: number): HTMLLIElement {
    const download = new Download(this.#words, files[index] ?? { name: "", size: 0 }, () => {
      this.#ask({ kind: "fetch", reply: id, file: index });
    });
    this.#downloads.set(`${id}/${index}`, download);
    return download.row;
  }
}
