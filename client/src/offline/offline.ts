// The offline page: one file on a disk that asks for nothing. It has no worker, since its policy allows none: what seals
// runs here, and WebCrypto does its work beside the page. Its screens are those of the other pages where they can be.
//
// What is under way is one `SealedTip`, with its draft token and the hashes of what it sealed: whatever continues an upload
// can begin from there.

import { type Code, codeOf, demand, TipboxError } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { type Bytes, concat, toHex, utf8 } from "../formats/base/bytes.js";
import { today } from "../formats/base/days.js";
import { newMark } from "../formats/envelopes/pieces.js";
import { qrCodesOf } from "../formats/envelopes/qr_codes.js";
import type { Manifest } from "../formats/manifest.js";
import { languageOf } from "../formats/wordlists.js";
import type { CheckDigits, Organisation, ToWorker } from "../messages.js";
import { listedIn } from "../page/choosing/listed.js";
import { type Content, Form } from "../page/form.js";
import { element, show, view } from "../page/screen.js";
import { Arrived } from "../page/sending/arrived.js";
import { folded } from "../page/sending/items.js";
import { Texts } from "../page/texts.js";
import { FileError } from "../worker/files.js";
import { judge } from "../worker/judge.js";
import { isValid } from "../worker/names.js";
import { readManifests } from "../worker/recipients.js";
import { SavedInbox } from "./inbox.js";
import { isGone, offerLeaving } from "./leaving.js";
import { listsFor, readList } from "./lists.js";
import { QrView } from "./qr_view.js";
import { askPlace, canStream, LARGEST_IN_MEMORY, Saved, type SavedFile } from "./saving.js";
import { measure, partsFor, SealedTip } from "./sealing.js";
import { inMemory, LARGE, Shelf } from "./shelf.js";

/** Bytes that pieces can have, and what is chosen at first. */
const SIZES = [1_000_000, 8_000_000, 24_000_000, 60_000_000];
const USUAL = 8_000_000;
/** Files are named so whatever is in them, and after it has a mark that those of no other tip have. */
function newName(): string {
  return `sealed-${newMark()}`;
}

const ONE = "one";
const QR = "qr";

/** How sealed bytes leave: as pieces or one file that are saved as downloads, into a file that was chosen, or seen. */
type Way =
  | { readonly kind: "qr" }
  | { readonly kind: "pieces"; readonly partsEach: number; readonly count: number }
  | { readonly kind: "one" }
  | { readonly kind: "place"; readonly write: (chunks: AsyncIterable<Bytes>) => Promise<void> };

const DOORS = ["start", "write", "read"] as const;
type Door = (typeof DOORS)[number];

/** Whether this browser has what sealing needs: it is tried when the manifests are read. */
function isFit(): boolean {
  return isSecureContext && globalThis.crypto?.subtle !== undefined;
}

/** A choice of how large sealed files may be; its value is bytes, `ONE` or `QR`. */
function wayField(texts: Texts): HTMLSelectElement {
  const way = element("select");
  way.setAttribute("autocomplete", "off");
  way.setAttribute("aria-labelledby", "way-title");
  way.setAttribute("aria-describedby", "way-hint");
  for (const size of SIZES) {
    const option = element("option", texts.get("wayPieces", { size: texts.size(size) }));
    option.value = String(size);
    option.selected = size === USUAL;
    way.append(option);
  }
  for (const [value, name] of [
    [ONE, texts.get("wayOne")],
    [QR, texts.get("wayQr")],
  ] as const) {
    const option = element("option", name);
    option.value = value;
    way.append(option);
  }
  return way;
}

/** The page in one language. */
class OfflinePage {
  readonly #texts: Texts;
  #listed: readonly Organisation[] = [];
  readonly #app: HTMLElement;
  /** The start screen, which stands in the page's own bytes. */
  readonly #start: readonly Node[];
  #manifests: readonly Manifest[] = [];
  /** Why nothing can be sealed, or `null`. */
  #closed: Code | null = null;
  #form: Form | null = null;
  #way: HTMLSelectElement | null = null;
  #inbox: SavedInbox | null = null;
  #arrived: Arrived | null = null;
  #saved = new Saved();
  /** What was sealed as QR codes: nothing else has it. */
  #qr: QrView | null = null;
  #sealing: AbortController | null = null;
  /** The digits of the code that is written back under; `null` makes a new one. */
  #digits: string | null = null;

  constructor(texts: Texts, app: HTMLElement) {
    this.#texts = texts;
    this.#app = app;
    this.#start = [...app.childNodes];
  }

  /** Finds out to whom this page can seal today. */
  async begin(files: readonly string[]): Promise<void> {
    try {
      demand(isFit(), "unsupported");
      this.#listed = await listedIn(this.#app);
      this.#manifests = await readManifests(files.map(utf8), this.#listed, today());
    } catch (error) {
      this.#closed = codeOf(error);
    }
  }

  /** Ids of the organisations that can be sealed to. */
  get #organisations(): readonly Organisation[] {
    const valid = new Set(this.#manifests.filter((one) => isValid(one, today())).map(({ id }) => toHex(id)));
    return this.#listed.filter(({ id }) => valid.has(id));
  }

  /** Whether leaving would lose something that was written, or a code that nobody has yet. */
  get isOpen(): boolean {
    if (this.#sealing !== null || this.#qr !== null) return true;
    return this.#arrived === null ? this.#form?.isEmpty === false : this.#arrived.isOpen;
  }

  /** Whether something was written or typed that another language would lose. */
  get isBegun(): boolean {
    return this.isOpen || this.#inbox !== null;
  }

  open(door: Door): void {
    if (this.#sealing !== null) return;
    if (door === "start") {
      const screen = document.createDocumentFragment();
      screen.append(...this.#start);
      return show(screen);
    }
    if (door === "read") {
      if (!isFit()) return this.#fail(new TipboxError("unsupported"));
      const canWrite = this.#closed === null && this.#organisations.length > 0;
      const write = (answered: readonly string[], digits: string): void => this.#writeBack(answered, digits);
      this.#inbox ??= new SavedInbox(this.#texts, this.#listed, (message) => this.#hear(message), write, canWrite);
      return this.#inbox.show();
    }
    if (this.#closed !== null) return this.#fail(new TipboxError(this.#closed));
    if (this.#digits !== null) this.#dropForm(); // begun as an answer, and left
    this.#showForm([], false);
  }

  drop(data: DataTransfer): void {
    if (this.#form?.root.isConnected) this.#form.drop(data);
  }

  wipe(): void {
    this.#sealing?.abort();
    this.#dropForm();
    this.#inbox?.wipe();
    this.#inbox = null;
    this.#arrived?.wipe();
    this.#arrived = null;
    this.#dropQr();
    this.#saved.release();
    this.#app.replaceChildren();
  }

  #dropForm(): void {
    this.#form?.wipe();
    this.#form = null;
    this.#digits = null;
  }

  #dropQr(): void {
    this.#qr?.wipe();
    this.#qr = null;
  }

  /** Says on the form why it cannot be sealed so. */
  #refuse(why: string): void {
    const problem = this.#form?.root.querySelector("[data-part=problem]");
    if (problem) problem.textContent = why;
  }

  #writeBack(answered: readonly string[], digits: string): void {
    if (this.#digits === null) this.#dropForm();
    this.#digits = digits;
    this.#showForm(answered, true);
  }

  #showForm(answered: readonly string[], isBack: boolean): void {
    if (this.#form === null) {
      this.#form = new Form(this.#texts, this.#organisations, answered, isBack, (content) => void this.#seal(content));
      this.#form.ready(this.#organisations);
      if (isBack) this.#form.onBack(() => this.#inbox?.show());
      this.#way = wayField(this.#texts);
      this.#form.root.querySelector("[data-part=way]")?.append(this.#way);
    }
    show(this.#form.root);
  }

  /** What fields for a code ask for. */
  #hear(message: ToWorker): void {
    if (message.kind === "judge") void this.#judge(message.turn, message.typed, message.digits);
    else if (message.kind === "spell") void this.#spell(message.digits, message.language);
  }

  async #judge(turn: number, typed: string, digits: string | null): Promise<void> {
    const expected = digits === null ? null : await accessCodes.parse(digits);
    const judgement = await judge(typed, await listsFor(typed), expected);
    (this.#arrived ?? this.#inbox)?.judged(turn, judgement);
  }

  async #spell(digits: string, language: string): Promise<void> {
    const list = await readList(languageOf(language) ?? "en");
    const words = accessCodes.words(await accessCodes.parse(digits), list);
    this.#arrived?.spelled({ words, language: list.name });
  }

  /** Where and in what sizes to save what these files become; `null` after saying why it cannot be, or nobody chose. */
  async #wayOf(files: readonly File[]): Promise<Way | null> {
    const value = this.#way?.value ?? String(USUAL);
    if (value === QR) {
      if (files.length === 0) return { kind: "qr" };
      this.#refuse(this.#texts.get("wayQrFiles"));
      return null;
    }
    const partsEach = partsFor(value === ONE ? LARGEST_IN_MEMORY : Number(value));
    const { bytes, pieces } = measure(files, partsEach);
    if (value !== ONE && pieces > 1) return { kind: "pieces", partsEach, count: pieces };
    if (bytes <= LARGEST_IN_MEMORY) return { kind: "one" };
    if (!canStream()) {
      this.#refuse(this.#texts.get("wayLarge"));
      return null;
    }
    // Before anything else: browsers open such a window only as the answer to a press.
    const write = await askPlace(`${newName()}.tip`);
    return write && { kind: "place", write };
  }

  async #seal(content: Content): Promise<void> {
    const way = await this.#wayOf(content.files);
    if (way === null) return;
    const sealing = new AbortController();
    this.#sealing = sealing;
    this.#saved.release();
    this.#saved = new Saved();
    this.#dropQr();
    const progress = this.#showSealing(() => sealing.abort());
    let tip: SealedTip | null = null;
    try {
      const said = { ...content, language: this.#texts.language };
      tip = await SealedTip.begin(said, this.#manifests, today(), this.#digits, sealing.signal, progress);
      if (way.kind === "qr" && qrCodesOf(tip.wholeSize) === null) {
        this.#sealing = null;
        if (this.#form) show(this.#form.root);
        return this.#refuse(this.#texts.get("wayQrLong"));
      }
      if (way.kind === "qr") await this.#toQr(tip);
      else if (way.kind === "place") await way.write(tip.whole());
      else if (way.kind === "one") await this.#saveOne(tip);
      else await this.#savePieces(tip, way);
      const checks = await tip.checks();
      this.#sealing = null;
      this.#sealed(content, tip.digits, checks);
    } catch (error) {
      this.#sealing = null;
      if (!isGone()) this.#fail(error);
    } finally {
      tip?.wipe();
      content.message.fill(0);
    }
  }

  #showSealing(stop: () => void): (done: number, total: number) => void {
    const { content, part } = view("view-sealing");
    part("stop").addEventListener("click", stop);
    const bar = part("bar");
    const numbers = part("numbers");
    show(content);
    return (done, total) => {
      if (bar instanceof HTMLProgressElement) bar.value = done / total;
      numbers.textContent = this.#texts.get("sent", { done: this.#texts.size(done), total: this.#texts.size(total) });
    };
  }

  async #saveOne(tip: SealedTip): Promise<void> {
    const made = inMemory();
    for await (const chunk of tip.whole()) made.add(chunk);
    await this.#saved.add(`${newName()}.tip`, await made.end(new Uint8Array()));
  }

  async #toQr(tip: SealedTip): Promise<void> {
    const chunks: Bytes[] = [];
    for await (const chunk of tip.whole()) chunks.push(chunk.slice());
    this.#qr = await QrView.of(this.#texts, concat(...chunks));
  }

  async #savePieces(tip: SealedTip, { partsEach, count }: Way & { kind: "pieces" }): Promise<void> {
    const name = newName();
    let number = 0;
    const shelf = tip.size < LARGE ? null : await Shelf.open();
    for await (const piece of tip.pieces(partsEach, () => shelf?.making() ?? inMemory())) {
      const shown = String(++number).padStart(String(count).length, "0");
      await this.#saved.add(`${name}-${shown}-of-${count}.tip`, piece);
    }
  }

  #sealed({ message, files, chosen }: Content, digits: string | null, checks: readonly CheckDigits[]): void {
    const texts = this.#texts;
    const names = this.#listed.filter(({ id }) => chosen.includes(id)).map(({ name }) => name);
    const hasWords = message.length > 0;
    const count = Math.max(1, this.#saved.files.length);
    this.#dropForm();
    const account = { hasWords, files, missing: [], inDoubt: false, isLater: false, elsewhere: false, names, checks };
    this.#arrived = new Arrived(texts, (asked) => this.#hear(asked), account, digits, null);
    const said = count === 1 ? texts.get("savedOne") : texts.get("savedMany", { count: texts.number(count) });
    const whole = document.getElementById("saved-count");
    const list = document.getElementById("saved");
    if (whole !== null) whole.textContent = this.#qr?.said ?? said;
    if (this.#qr !== null) for (const part of document.querySelectorAll("#app [data-when=saved]")) part.remove();
    const codes = document.getElementById("qr");
    if (this.#qr !== null && codes !== null) return this.#qr.show(codes);
    if (list !== null) {
      folded(
        list,
        this.#saved.files.map((file) => this.#savedRow(file)),
        texts.get("allFiles", { count: texts.number(count) }),
      );
    }
  }

  /** A file that was saved, and a button that saves it again as long as it is held. */
  #savedRow(file: SavedFile): HTMLLIElement {
    const texts = this.#texts;
    const row = element("li");
    const name = element("span");
    const size = element("span", texts.size(file.size));
    size.className = "quiet";
    name.append(element("bdi", file.name), " ", size);
    row.append(name);
    if (file.isHeld) {
      const again = element("button", texts.get("saveAgain"));
      again.type = "button";
      again.setAttribute("aria-label", texts.get("saveAgainFile", { name: file.name }));
      again.addEventListener("click", () => file.again());
      file.onReleased = () => again.remove();
      row.append(again);
    }
    return row;
  }

  #fail(error: unknown): void {
    const code = codeOf(error);
    const screen = view("view-failed");
    const reasons = [...screen.content.querySelectorAll<HTMLElement>("[data-code]")];
    const covers = (reason: HTMLElement, name: string): boolean =>
      reason.dataset["code"]?.split(" ").includes(name) === true;
    const named = reasons.some((reason) => covers(reason, code)) ? code : "other";
    screen.part("today").textContent = this.#texts.today();
    screen.part("file").textContent = this.#form?.mark(error instanceof FileError ? error.index : null) ?? "";
    screen.part("code").textContent = code;
    screen.part("useless").hidden = this.#saved.files.length === 0;
    for (const reason of reasons) if (!covers(reason, named)) reason.remove();
    this.#saved.release();
    this.#saved = new Saved();
    const back = screen.part("back");
    back.hidden = this.#form === null;
    back.addEventListener("click", () => this.#form && show(this.#form.root));
    show(screen.content);
  }
}

let page: OfflinePage | null = null;

function isDoor(name: string | undefined): name is Door {
  return DOORS.some((door) => door === name);
}

/** Shows the page in another language, from its start. */
async function speak(languages: ReadonlyMap<string, HTMLElement>, language: string): Promise<void> {
  const chosen = languages.get(language);
  const place = document.getElementById("page");
  const files = JSON.parse(document.getElementById("manifests")?.dataset["files"] ?? "[]") as string[];
  if (chosen === undefined || place === null) return;
  page?.wipe();
  const nodes = chosen instanceof HTMLTemplateElement ? chosen.content : chosen;
  place.replaceChildren(...[...nodes.childNodes].map((node) => document.importNode(node, true)));
  document.documentElement.lang = language;
  document.documentElement.dir = chosen.dataset["dir"] ?? "ltr";
  document.title = chosen.dataset["title"] ?? "";
  const words = document.getElementById("words");
  const app = document.getElementById("app");
  if (words === null || app === null) return;
  page = new OfflinePage(new Texts(words, language), app);
  await page.begin(files);
}

function start(): void {
  const first = document.getElementById("page");
  if (first === null) return;
  const languages = new Map<string, HTMLElement>();
  const kept = element("div");
  kept.append(...[...first.childNodes].map((node) => document.importNode(node, true)));
  Object.assign(kept.dataset, first.dataset);
  for (const one of [kept, ...document.querySelectorAll<HTMLElement>("template.language")])
    languages.set(one.dataset["lang"] ?? "", one);
  const ready = speak(languages, kept.dataset["lang"] ?? "");

  addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const { door, language } = link?.dataset ?? {};
    if (link === null || (door === undefined && language === undefined)) return;
    event.preventDefault();
    if (language !== undefined && page?.isBegun === false) void speak(languages, language);
    if (isDoor(door)) void ready.then(() => page?.open(door));
  });
  // From the first character or file on, another language would lose it.
  const hide = (): void => {
    document.getElementById("languages")?.toggleAttribute("hidden", true);
  };
  addEventListener("input", hide);
  addEventListener("beforeunload", (event) => {
    if (!isGone() && page?.isOpen === true) event.preventDefault();
  });
  // Unhandled, a file dropped beside the form would be opened by the browser, in place of this page.
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    hide();
    if (event.dataTransfer !== null) page?.drop(event.dataTransfer);
  });
  offerLeaving(() => page?.wipe());
}

start();
