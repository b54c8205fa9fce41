// The screens of an open mailbox: the answers and their files, and deleting them.

import type { Answer, FromWorker, PendingReply } from "../../messages.js";
import type { Lent } from "../opening.js";
import { breakLongText, element, passFocus, type View, view } from "../screen.js";
import type { Texts } from "../texts.js";
import { Download } from "./download.js";
import { unread } from "./unread.js";

export class Answers {
  readonly #texts: Texts;
  readonly #lent: Lent;
  /** What is shown, except while the source is writing back. */
  readonly #root: HTMLElement;
  #view: View = view("view-mailbox");
  /** Ids of the organisations whose answers are shown. */
  readonly #answered = new Set<string>();
  /** Rows of letters that are still to be fetched, by reply id. */
  readonly #rows = new Map<string, HTMLElement>();
  /** Files by reply id and number: `id/number`. */
  readonly #downloads = new Map<string, Download>();

  constructor(lent: Lent, root: HTMLElement) {
    this.#texts = lent.texts;
    this.#lent = lent;
    this.#root = root;
  }

  hear(news: FromWorker): void {
    switch (news.kind) {
      case "opened":
        return this.#opened(news);
      case "loaded":
        return this.#loaded(news.reply, news.answer);
      case "fetching":
        return this.#downloads.get(`${news.reply}/${news.file}`)?.progress(news.bytes, news.total);
      case "fetched":
        return this.#fetched(news);
      case "deleted":
        return this.#end(view("view-deleted"));
      case "unread":
        return this.#end(unread(news.code, news.deleting));
    }
  }

  #opened({ accessCode, replies, pending, others, leftOut }: FromWorker & { kind: "opened" }): void {
    this.wipe(); // it may have been opened twice
    this.#view = view("view-mailbox");
    const { part } = this.#view;
    for (const answer of replies) part("replies").append(this.#reply(answer));
    for (const one of pending) part("waiting").append(this.#wait(one));
    if (others > 0) part("others").textContent = this.#texts.get("others", { count: this.#texts.number(others) });
    if (leftOut > 0) part("left-out").textContent = this.#texts.counted("leftOut", leftOut);
    part("none").hidden = replies.length + pending.length > 0;
    part("deleting").hidden = replies.length === 0;
    const closed = this.#lent.closed();
    part("closed").textContent = closed;
    part("closed").hidden = closed === "";
    part("write").hidden = closed !== "";
    part("write").addEventListener("click", () => this.#lent.write([...this.#answered], accessCode));
    part("delete").addEventListener("click", () => this.#confirm(true));
    part("keep").addEventListener("click", () => this.#confirm(false));
    part("really").addEventListener("click", () => this.#delete());
    this.#root.replaceChildren(this.#view.content);
    this.#show();
  }

  #delete(): void {
    // It cannot be called back any more: there is nothing left to press.
    const confirm = this.#view.part("confirm");
    confirm.setAttribute("role", "status");
    passFocus(confirm, confirm);
    confirm.replaceChildren(element("p", this.#texts.get("deleting")));
    this.#lent.ask({ kind: "delete" });
  }

  /** Shows how it ended; later, when the source is writing just now: what is written must not be lost. */
  #end(screen: View): void {
    this.wipe();
    this.#root.append(screen.content);
    this.#show();
  }

  /** Not over what is written meanwhile. */
  #show(): void {
    if (this.#root.isConnected) this.#lent.show(this.#root);
  }

  #loaded(reply: string, answer: Answer | null): void {
    const row = this.#rows.get(reply);
    if (row === undefined) return; // all was wiped meanwhile
    if (answer === null) {
      row.replaceChildren(this.#texts.get("unproven"));
      return;
    }
    const shown = this.#reply(answer);
    const heading = shown.querySelector("h2");
    this.#view.part("replies").append(shown);
    if (heading !== null) passFocus(row, heading);
    row.remove();
    this.#view.part("deleting").hidden = false;
  }

  #fetched({ reply, file, blob }: FromWorker & { kind: "fetched" }): void {
    const download = this.#downloads.get(`${reply}/${file}`);
    if (blob === null) download?.damaged();
    else download?.whole(blob);
  }

  /** Wipes everything. */
  wipe(): void {
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
      passFocus(load, row);
      load.replaceWith(this.#texts.get("loading"));
      this.#lent.ask({ kind: "load", reply: id });
    });
    row.append(element("span", this.#texts.get("more", { day: this.#texts.day(day) })), load);
    this.#rows.set(id, row);
    return row;
  }

  #file({ id, files }: Answer, index: number): HTMLLIElement {
    const download = new Download(this.#texts, files[index] ?? { name: "", size: 0 }, () => {
      this.#lent.ask({ kind: "fetch", reply: id, file: index });
    });
    this.#downloads.set(`${id}/${index}`, download);
    return download.row;
  }
}
