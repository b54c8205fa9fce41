// The screens of saved answers: typing the code, the request, and what the answer files say.

import { codeOf } from "../errors.js";
import { toHex } from "../formats/base/bytes.js";
import type { Judgement, Organisation, ToWorker } from "../messages.js";
import type { ListedReply, MailboxClient, MailboxContents, ReadableReply } from "../net/mailbox_client.js";
import { shownName } from "../page/choosing/file_names.js";
import { CodeField } from "../page/code_field.js";
import { breakLongText, element, field, show, type View, view } from "../page/screen.js";
import type { Texts } from "../page/texts.js";
import { readTyped } from "../worker/judge.js";
import { listsFor } from "./lists.js";
import { piecesOfFile, piecesOfLetter, SavedMailboxes } from "./opening.js";
import { offer } from "./saving.js";

/** Names of what is saved, which say nothing of whom it is from. */
const REQUEST = "request.bin";

function picker(label: HTMLElement, multiple: boolean, chosen: (files: readonly File[]) => void): void {
  const made = field("input");
  made.type = "file";
  made.multiple = multiple;
  made.addEventListener("change", () => {
    const files = [...(made.files ?? [])];
    made.value = ""; // the same file may be chosen again
    if (files.length > 0) chosen(files);
  });
  label.prepend(made);
}

/** A file of an answer, or a letter that did not fit into the list: it comes in pieces. */
interface Fetchable {
  readonly name: string;
  readonly size: number;
  readonly listed: ListedReply;
  /** Numbers of its pieces. */
  readonly numbers: readonly number[];
  /** Puts it together once all pieces are here; false when it came damaged. */
  readonly join: () => Promise<boolean>;
}

export class SavedInbox {
  readonly #texts: Texts;
  readonly #listed: readonly Organisation[];
  readonly #write: (answered: readonly string[], digits: string) => void;
  readonly #canWrite: boolean;
  #codeField: CodeField | null = null;
  #view: View = view("view-open");
  #root = element("div");
  #mailboxes: SavedMailboxes | null = null;
  readonly #answered = new Set<string>();
  readonly #urls: string[] = [];
  /** Each says of one file how many of its pieces are here. */
  readonly #tellers: (() => void)[] = [];
  #others = 0;

  /** `write` is called when the source wants to write back: with the ids of those who answered, and the digits. */
  constructor(
    texts: Texts,
    listed: readonly Organisation[],
    ask: (message: ToWorker) => void,
    write: (answered: readonly string[], digits: string) => void,
    canWrite: boolean,
  ) {
    this.#texts = texts;
    this.#listed = listed;
    this.#write = write;
    this.#canWrite = canWrite;
    const { part } = this.#view;
    this.#codeField = new CodeField(texts, part("typed-result"), ask, null, () => texts.get("typedRight"));
    this.#codeField.field.setAttribute("aria-labelledby", "typed-title");
    this.#codeField.field.setAttribute("aria-describedby", "typed-hint");
    part("typed").append(this.#codeField.field);
    part("request").addEventListener("click", () => void this.#ask());
    picker(part("answer"), false, ([file]) => void (file && this.#open(file)));
    this.#root.append(this.#view.content);
  }

  get root(): HTMLElement {
    return this.#root;
  }

  show(): void {
    show(this.#root);
  }

  judged(turn: number, judgement: Judgement): void {
    this.#codeField?.judged(turn, judgement);
  }

  /** The mailboxes of the code that is typed, or `null` after saying what is wrong with it. */
  async #typed(): Promise<SavedMailboxes | null> {
    const typed = this.#codeField?.value ?? "";
    if (!/\S/.test(typed)) {
      this.#codeField?.say(this.#texts.get("typedEmpty"));
      return null;
    }
    const accessCode = await readTyped(typed, await listsFor(typed));
    if (accessCode === null) {
      this.#codeField?.refuse();
      return null;
    }
    this.#mailboxes?.wipe();
    this.#mailboxes = await SavedMailboxes.of(accessCode, this.#listed);
    accessCode.fill(0);
    return this.#mailboxes;
  }

  #save(name: string, bytes: Uint8Array<ArrayBuffer>): void {
    this.#urls.push(offer(name, new Blob([bytes], { type: "application/octet-stream" })));
  }

  async #ask(): Promise<void> {
    const mailboxes = await this.#typed();
    if (mailboxes !== null) this.#save(REQUEST, await mailboxes.request());
  }

  async #open(file: File): Promise<void> {
    const { part } = this.#view;
    part("problem").textContent = "";
    const mailboxes = await this.#typed();
    if (mailboxes === null) return;
    try {
      const { client, contents } = await mailboxes.open(file);
      this.#codeField?.wipe();
      this.#codeField = null;
      this.#show(mailboxes, client, contents);
    } catch (error) {
      if (codeOf(error) === "internal") throw error;
      part("problem").textContent = this.#texts.get("wrongAnswer");
    }
  }

  #show(mailboxes: SavedMailboxes, client: MailboxClient, { shown, pending, others }: MailboxContents): void {
    this.#view = view("view-mailbox");
    const { part } = this.#view;
    for (const reply of shown) part("replies").append(this.#reply(mailboxes, client, reply));
    for (const listed of pending) {
      const row = this.#fetch(mailboxes, {
        name: this.#texts.get("more", { day: this.#texts.day(listed.entry.day) }),
        size: listed.entry.openingSize,
        listed,
        numbers: piecesOfLetter(listed),
        join: async () => {
          const reply = await client.load(listed).catch(() => null);
          if (reply !== null) row.replaceWith(this.#reply(mailboxes, client, reply));
          return reply !== null;
        },
      });
      part("waiting").append(row);
    }
    this.#count(others);
    part("none").hidden = shown.length + pending.length > 0;
    picker(part("pieces"), true, (files) => void this.#add(mailboxes, files));
    part("closed").hidden = this.#canWrite;
    part("write").hidden = !this.#canWrite;
    part("write").addEventListener("click", () => this.#write([...this.#answered], mailboxes.digits));
    this.#root = element("div");
    this.#root.append(this.#view.content);
    this.#tellPieces();
    show(this.#root);
  }

  /** Takes answers to requests for pieces, of whatever files and in any order. */
  async #add(mailboxes: SavedMailboxes, files: readonly File[]): Promise<void> {
    const { part } = this.#view;
    part("problem").textContent = "";
    for (const file of files) {
      try {
        await mailboxes.keep(file);
      } catch (error) {
        if (codeOf(error) === "internal") throw error;
        part("problem").textContent = this.#texts.get("wrongAnswer");
      }
    }
    this.#tellPieces();
  }

  /** Says of each file how many of its pieces are here. */
  #tellPieces(): void {
    for (const tell of this.#tellers) tell();
    this.#view.part("adding").hidden = this.#tellers.length === 0;
  }

  #count(others: number): void {
    this.#others += others;
    const { part } = this.#view;
    if (this.#others > 0) {
      const said = this.#texts.get("others", { count: this.#texts.number(this.#others) });
      part("others").textContent = `${said} ${this.#texts.get("otherPage")}`;
    }
  }

  #reply(mailboxes: SavedMailboxes, client: MailboxClient, reply: ReadableReply): HTMLElement {
    const { content, part } = view("view-reply");
    const { organisation, letter } = reply;
    const id = toHex(organisation);
    const text = new TextDecoder().decode(letter.message);
    this.#answered.add(id);
    part("from").textContent =
      this.#listed.find((one) => one.id === id)?.name ?? this.#texts.get("unknownOrganisation");
    part("day").textContent = this.#texts.day(letter.day);
    part("text").textContent = text;
    breakLongText(part("text"), text);
    for (const [index, { name, size }] of letter.files.entries()) {
      const row = this.#fetch(mailboxes, {
        name,
        size,
        listed: reply,
        numbers: piecesOfFile(reply, index),
        join: async () => {
          const blob = await client.file(reply, index, () => undefined).catch(() => null);
          if (blob !== null) this.#urls.push(offer(name, blob));
          return blob !== null;
        },
      });
      part("files").append(row);
    }
    const section = element("div");
    section.append(content);
    return section;
  }

  /** What comes in pieces: its requests to save, how many answers are here, and a button that puts it together. */
  #fetch(mailboxes: SavedMailboxes, { name, size, listed, numbers, join }: Fetchable): HTMLElement {
    const texts = this.#texts;
    const { content, part } = view("view-fetch");
    part("name").textContent = shownName(name);
    part("size").textContent = texts.size(size);
    // Each button says of which file it is.
    part("name").id = `fetched-${this.#tellers.length}`;
    for (const button of [part("requests"), part("join")]) {
      button.id = `${part("name").id}-${button.dataset["part"]}`;
      button.setAttribute("aria-labelledby", `${button.id} ${part("name").id}`);
    }
    part("requests").addEventListener("click", () => {
      for (const number of numbers)
        if (!mailboxes.has(listed, number))
          this.#save(`request-${number + 1}.bin`, mailboxes.pieceRequest(listed, number));
    });
    const row = element("li");
    this.#tellers.push(() => {
      const here = numbers.filter((number) => mailboxes.has(listed, number)).length;
      const isWhole = here === numbers.length;
      part("state").textContent = texts.get("pieces", {
        done: texts.number(here),
        total: texts.number(numbers.length),
      });
      part("requests").hidden = isWhole;
      part("join").toggleAttribute("disabled", !isWhole);
    });
    part("join").addEventListener("click", () => {
      void join().then((isWhole) => {
        part("result").textContent = isWhole ? "" : texts.get("damaged");
        this.#tellPieces();
      });
    });
    row.append(content);
    return row;
  }

  wipe(): void {
    this.#codeField?.wipe();
    this.#codeField = null;
    this.#mailboxes?.wipe();
    this.#mailboxes = null;
    for (const url of this.#urls) URL.revokeObjectURL(url);
    this.#urls.length = 0;
    this.#tellers.length = 0;
    this.#answered.clear();
    this.#root.replaceChildren();
  }
}
