// The form. Its fields exist only once the browser is known to be able to seal, so that nothing can be written that
// would leave unsealed; none has a name or stands in a <form>, so that no browser can send or remember it. What seals
// may come later: until then only the button waits.

import { type Bytes, utf8 } from "../formats/base/bytes.js";
import { MAX_BODY, MAX_FILES, MAX_MESSAGE, MAX_NAME } from "../formats/base/limits.js";
import type { Organisation } from "../messages.js";
import { plainNames, shownName } from "./choosing/file_names.js";
import { isPhoto, tellPhotos } from "./choosing/photos.js";
import { Whom } from "./choosing/whom.js";
import { begun } from "./first/begun.js";
import { beginForm } from "./first/first_field.js";
import { breakLongText, element, field, type View, view } from "./screen.js";
import { folded } from "./sending/items.js";
import { apart, type Texts } from "./texts.js";

/** What a source has written and chosen. */
export interface Content {
  readonly message: Bytes;
  readonly files: readonly File[];
  readonly chosen: readonly string[];
  /** Whether the source may have to continue the files later. */
  readonly mayContinue: boolean;
}

/** Whether nobody could read anything in a text: white space, and characters that are not seen. */
export function isBlank(text: string): boolean {
  return !/[^\s\p{Z}\p{Cc}\p{Cf}\p{M}\u115f\u1160\u2800\u3164\uffa0]/u.test(text);
}

/** Without files that are there already, by name, size and date. */
function once(files: readonly File[]): File[] {
  const known = new Map<string, File>();
  for (const file of files) {
    const key = `${file.lastModified}/${file.size}/${file.name}`;
    if (!known.has(key)) known.set(key, file);
  }
  return [...known.values()];
}

export class Form {
  readonly #texts: Texts;
  readonly #view: View;
  readonly #root: HTMLElement;
  readonly #message: HTMLTextAreaElement;
  readonly #sendWords: string;
  readonly #whom: Whom;
  /** Whether files are sent under plain names. */
  readonly #plain = field("input");
  readonly #later = field("input");
  #files: File[] = [];
  /** Files that could not be sent. */
  readonly #marked = new WeakSet<File>();

  /**
   * `chosen` are ids of organisations that are checked at first; `isBack` when it writes back. `onSend` gets what is
   * ready to be sealed.
   */
  constructor(
    texts: Texts,
    organisations: readonly Organisation[],
    chosen: readonly string[],
    isBack: boolean,
    onSend: (content: Content) => void,
  ) {
    this.#texts = texts;
    const begunForm = isBack ? null : begun().form;
    if (begunForm !== null) begun().form = null;
    const { root, message, rest } = begunForm ?? beginForm(isBack);
    this.#root = root;
    this.#message = message;
    this.#view = view("view-form", rest);
    const { part } = this.#view;

    const picker = field("input");
    picker.type = "file";
    picker.multiple = true;
    picker.addEventListener("change", () => {
      this.#add([...(picker.files ?? [])]);
      picker.value = ""; // the same file may be chosen again
    });
    part("picker").prepend(picker);

    this.#plain.type = "checkbox";
    this.#plain.addEventListener("change", () => this.#list(""));
    part("plain").prepend(this.#plain);
    // The offline page has no script that reads photos.
    if (this.#view.has("look")) {
      const look = part("look");
      look.addEventListener("click", async () => {
        look.toggleAttribute("disabled", true);
        part("file-problem").textContent = "";
        const isThere = await tellPhotos(texts, part("said"), this.#files.filter(isPhoto));
        if (!isThere) part("file-problem").textContent = texts.get("photosUnread");
        look.toggleAttribute("disabled", false);
      });
    }
    this.#later.type = "checkbox";
    if (this.#view.has("later")) part("later").prepend(this.#later);

    this.#whom = new Whom(texts, part("organisations"), part("all"), organisations, chosen);
    this.#sendWords = part("send").textContent;
    this.wait();
    part("send").addEventListener("click", () => {
      const checked = this.#checked();
      if (checked !== null) onSend(checked);
    });
    this.#root.append(this.#view.content);
    this.#root.addEventListener("input", () => {
      part("problem").textContent = "";
      this.#message.removeAttribute("aria-invalid");
      breakLongText(this.#message, this.#message.value);
    });
  }

  /** What to show. */
  get root(): HTMLElement {
    return this.#root;
  }

  /** Whether nothing was written or chosen that would be missed. */
  get isEmpty(): boolean {
    return this.#message.value === "" && this.#files.length === 0;
  }

  /** The button cannot be pressed as long as what seals is not there. */
  wait(isWaiting = true): void {
    const send = this.#view.part("send");
    send.textContent = isWaiting ? this.#texts.get("preparing") : this.#sendWords;
    send.toggleAttribute("disabled", isWaiting);
  }

  /** What seals is there, and of the organisations only these can be chosen; `isPressed`: the button was. */
  ready(organisations: readonly Organisation[], isPressed = false): void {
    this.#whom.keep(organisations);
    this.wait(false);
    if (isPressed) this.#view.part("send").click();
  }

  /** Calls `back` when the source wants to see the answers again. */
  onBack(back: () => void): void {
    this.#view.part("answers").addEventListener("click", back);
  }

  /** Takes files that were dropped on the page. */
  drop(data: DataTransfer): void {
    const isFolder = [...data.items].map((item) => item.webkitGetAsEntry()?.isDirectory === true);
    const files = [...data.files].filter((_, i) => isFolder[i] !== true);
    this.#add(files, isFolder.includes(true) ? this.#texts.get("folder") : "");
  }

  /** Marks a chosen file that could not be sent, if it was one; its name. */
  mark(index: number | null): string {
    const file = index === null ? undefined : this.#files[index];
    if (file === undefined) return "";
    this.#marked.add(file);
    this.#list("");
    return file.name;
  }

  /** Wipes everything. */
  wipe(): void {
    this.#message.value = "";
    this.#files = [];
    this.#root.replaceChildren();
  }

  /** The files under the names that they are sent with. */
  #named(): File[] {
    if (!this.#plain.checked) return this.#files;
    const names = plainNames(this.#files);
    return this.#files.map(
      (file, i) => new File([file], names[i] ?? "", { type: file.type, lastModified: file.lastModified }),
    );
  }

  #add(added: readonly File[], problem = ""): void {
    const isLong = (file: File): boolean => utf8(file.name).length > MAX_NAME;
    const long = added.find(isLong);
    const isAgain = (file: File): boolean => this.#marked.has(file) && added.some(({ name }) => name === file.name);
    const kept = this.#files.filter((file) => !isAgain(file));
    const files = once([...kept, ...added.filter((file) => !isLong(file))]);
    this.#files = files.slice(0, MAX_FILES);
    if (files.length > MAX_FILES) this.#list(this.#texts.get("manyFiles", { count: this.#texts.number(MAX_FILES) }));
    else this.#list(long === undefined ? problem : this.#texts.get("longName", { name: apart(shownName(long.name)) }));
  }

  #list(problem: string): void {
    const { part } = this.#view;
    const size = this.#files.reduce((sum, file) => sum + file.size, 0);
    const names = this.#plain.checked ? plainNames(this.#files) : [];
    part("plain").hidden = this.#files.length === 0;
    if (this.#view.has("later")) part("later").hidden = this.#files.length === 0;
    folded(
      part("files"),
      this.#files.map((file, i) => this.#row(file, names[i] ?? file.name)),
      this.#texts.get("allFiles", { count: this.#texts.number(this.#files.length) }),
    );
    if (this.#view.has("photos")) {
      part("photos").hidden = !this.#files.some(isPhoto);
      part("said").replaceChildren(); // of a list of before
    }
    part("total").hidden = this.#files.length < 2;
    part("total").textContent = this.#texts.get("total", {
      count: this.#texts.number(this.#files.length),
      size: this.#texts.size(size),
    });
    part("file-problem").textContent = problem;
  }

  #row(file: File, sentAs: string): HTMLLIElement {
    const row = element("li");
    const name = element("span");
    const size = element("span", this.#texts.size(file.size));
    size.className = "quiet";
    name.append(element("bdi", shownName(sentAs)), " ", size);
    if (this.#marked.has(file)) {
      row.dataset["state"] = "lost";
      name.append(" ", element("strong", this.#texts.get("lostFile")));
    }
    const remove = element("button", this.#texts.get("remove"));
    remove.type = "button";
    remove.setAttribute("aria-label", this.#texts.get("removeFile", { name: shownName(sentAs) }));
    remove.addEventListener("click", () => {
      this.#files = this.#files.filter((other) => other !== file);
      this.#list("");
      this.#root.dispatchEvent(new Event("input", { bubbles: true }));
      this.#view.part("picker").querySelector("input")?.focus();
    });
    row.append(name, remove);
    return row;
  }

  /** What is to be sent, or `null` after saying what is wrong with it. */
  #checked(): Content | null {
    const message = utf8(this.#message.value);
    const { chosen, gone } = this.#whom;
    const size = this.#files.reduce((sum, file) => sum + file.size, 0);
    let problem = "";
    if (message.length > MAX_MESSAGE) problem = "longMessage";
    else if (isBlank(this.#message.value) && this.#files.length === 0) problem = "empty";
    else if (size > MAX_BODY) problem = "largeFiles";
    else if (chosen.length === 0) problem = "nobody";
    else if (gone !== "") problem = "takesNothing";
    const said = this.#texts.get(problem);
    this.#view.part("problem").textContent = problem === "takesNothing" ? `${gone} · ${said}` : said;
    if (problem === "longMessage" || problem === "empty") this.#message.setAttribute("aria-invalid", "true");
    if (problem !== "") return null;
    const mayContinue = this.#later.checked && this.#files.length > 0;
    return {
      message: isBlank(this.#message.value) ? new Uint8Array() : message,
      files: this.#named(),
      chosen,
      mayContinue,
    };
  }
}
