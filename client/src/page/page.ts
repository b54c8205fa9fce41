// The page: screens and fields. Its only secret is the access code that it shows or takes; keys, sealing, opening and
// all requests are the worker's, so that a slow computation never freezes the page. Nothing is stored or logged, and
// leaving the page wipes everything.

import { type Code, TipboxError } from "../errors.js";
import type { Bytes } from "../formats/base/bytes.js";
import type { Addresses, FromWorker, Organisation, ToWorker } from "../messages.js";
import { askTold } from "../net/told.js";
import { listedIn } from "./choosing/listed.js";
import { showCollected } from "./collected.js";
import { Delivery, troubleOf } from "./delivery.js";
import { canSeal } from "./features.js";
import { begun, onLeaving } from "./first/begun.js";
import { type Door, doorOf, isDoor } from "./first/door.js";
import { isWhole } from "./first/first_field.js";
import { type Content, Form } from "./form.js";
import { type Line, needScript, persist } from "./loading.js";
import { noticeOf } from "./notice.js";
import type { Choice } from "./opened/uploads.js";
import { type Lent, Opening } from "./opening.js";
import { app, accessCode as codeScreen, element, show, suit, view } from "./screen.js";
import { explained } from "./sending/failure.js";
import { Texts } from "./texts.js";

/** Milliseconds after which a worker that is not there is asked for again. */
const PATIENCE = 300_000;
/** Milliseconds after which what the server says of the day is asked for again, when it matters. */
const OLD = 10_800_000;

let worker: Worker | null = null;
/** What the worker is to hear, as long as it is not there. */
let waiting: { readonly message: ToWorker; readonly transfer: Transferable[] }[] = [];
/**
 * By the digits of the code that each is sent under, `null` for a first message: what was begun in one waits while another
 * is shown.
 */
const forms = new Map<string | null, Form>();
/** The form that the delivery is of; `null` for an upload that goes on. */
let sent: Form | null = null;
let delivery: Delivery | null = null;
let inbox: Opening | null = null;
let continuing: Opening | null = null;
/** The digits of a code that may have answers although sending failed: what is sent next goes under it, too. */
let doubtful: string | null = null;
/** What was pressed, and waits for what the server says anew; nothing once somebody goes elsewhere or writes on. */
let pressed: Form | Choice | null = null;
/** Those of the form that was shown last. */
let accessCode: string | null = null;

function ask(message: ToWorker, transfer: Transferable[] = []): void {
  if (worker === null) waiting.push({ message, transfer });
  else worker.postMessage(message, transfer);
}

/** The form that was shown last. */
function current(): Form | undefined {
  return forms.get(accessCode);
}

/** Under which codes something was written that is not sent. */
function unsent(): (string | null)[] {
  const codes = [...forms.keys()].filter((code) => forms.get(code)?.isEmpty === false);
  return begun().form?.message.value ? [null, ...codes] : codes;
}

/** Those that read, or ask about what is typed: what is said of that is told to all, and shown where it was asked. */
function asking(): readonly (Delivery | Opening | null)[] {
  return [delivery, continuing, inbox];
}

/** Has the browser ask before what was written, or a code that nobody has yet, is lost. */
function warn(event: BeforeUnloadEvent): void {
  if (delivery?.isOpen || unsent().length > 0 || doubtful !== null) event.preventDefault();
}

/** Wipes all that was written, chosen, typed and shown. The worker ends with its secrets. */
function wipe(): void {
  worker?.terminate();
  worker = null;
  begun().worker?.terminate();
  waiting = [];
  for (const one of [...forms.values(), delivery, inbox, continuing]) one?.wipe();
  forms.clear();
  sent = null;
  pressed = null;
  delivery = null;
  inbox = null;
  continuing = null;
  app?.replaceChildren();
  doubtful = null;
  accessCode = null;
}

/** The page: its texts, its addresses and its organisations. */
class Page {
  #organisations: readonly Organisation[] = [];
  /** Why nothing can be sealed; `null` for no reason, or while that is not known yet. */
  #closed: Code | null = null;
  /** The last such reason that was shown. */
  #closedShown: Code | null = null;
  #isReady = false;
  /** What the server says of the day; empty as long as it has said nothing. */
  #told = "";
  /** When it said so, in milliseconds by this device. */
  #toldAt = 0;
  #askNow: () => Promise<void> = () => Promise.resolve();
  /** The start screen, which stands in the page's own bytes. */
  readonly #start: readonly Node[];
  /** How it stands with each thing that is still to come. */
  readonly #lines = new Map<string, Line>();
  readonly #lent: Lent;
  /** Where notices stand, above whatever screen is shown. */
  readonly #notices = document.getElementById("notices");

  constructor(
    readonly texts: Texts,
    readonly addresses: Addresses,
    /** The organisations that stand in the page's own bytes: no other's key is sealed to. */
    readonly listed: readonly Organisation[],
    screen: ParentNode & Node,
    /** Where that is said. */
    readonly box: HTMLElement,
  ) {
    suit(screen);
    this.#start = [...screen.childNodes];
    addEventListener("popstate", ({ state }) => {
      if (accessCode === null || delivery !== null) return;
      if (state === null) inbox?.show();
      else this.#showForm();
    });
    this.#lent = {
      texts,
      ask,
      write: (answered, digits) => this.#writeBack(answered, digits),
      closed: () => this.#nobody(),
      choose: (choice) => this.#continue(choice),
      show: (root, first) => {
        pressed = null;
        show(root, first);
        this.#offerForm();
      },
      persist: (name, attempt) => this.#persist(name, attempt),
    };
  }

  /** Has the worker come, and what the server says, which is asked for once for both; again when that is old. */
  async load(script: string, now: string): Promise<void> {
    const list = this.#start.find((one) => one instanceof Element && one.id === "organisations");
    this.#askNow = async () => {
      const text = await this.#persist("told", () => askTold(now));
      this.#told = text;
      this.#toldAt = Date.now();
      for (const place of [list, ...[...forms.values()].map(({ root }) => root)])
        if (place instanceof Element) showCollected(this.texts, place, text);
      ask({ kind: "told", text, language: this.texts.language });
    };
    const told = this.#askNow();
    const here = await this.#persist("worker", () => this.#fetchWorker(script));
    worker = here;
    for (const { message, transfer } of waiting) here.postMessage(message, transfer);
    waiting = [];
    await told;
  }

  /** Asks anew for what the server said when that is old, or nobody could be written to by it. */
  #renew(): void {
    if (!this.#isReady || (this.#closed === null && Date.now() - this.#toldAt < OLD)) return;
    this.#isReady = false;
    this.#closed = null;
    for (const form of forms.values()) form.wait();
    void this.#askNow();
  }

  /** Waits for the first script, which the line may have broken. */
  need(script: string): Promise<void> {
    return needScript(
      script,
      () => begun().jump !== null,
      (line) => this.#tellLine("first", line),
    );
  }

  #persist<T>(name: string, attempt: () => Promise<T>): Promise<T> {
    return persist(attempt, (line) => this.#tellLine(name, line));
  }

  /** A worker that is there: one whose script the line broke is none, and the next one is asked for. */
  #fetchWorker(script: string): Promise<Worker> {
    return new Promise((resolve, reject) => {
      const started = begun().worker ?? new Worker(script);
      begun().worker = null;
      let isHere = false;
      const lost = (): void => {
        clearTimeout(timer);
        started.terminate();
        reject(new TipboxError("network"));
      };
      const timer = setTimeout(lost, PATIENCE);
      started.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        if (data.kind !== "here") return this.hear(data);
        isHere = true;
        clearTimeout(timer);
        resolve(started);
      };
      started.onerror = () => {
        if (!isHere) return lost();
        delivery?.doubt(delivery.accessCode); // nobody knows how far it came
        this.failed("internal");
      };
      const { listed, addresses } = this;
      started.postMessage({ kind: "start", listed, addresses } satisfies ToWorker);
    });
  }

  /** Says how it stands with what is loaded, with one button for all of it. */
  #tellLine(name: string, line: Line | null): void {
    const { box } = this;
    const lines = this.#lines;
    if (line === null) lines.delete(name);
    else lines.set(name, line);
    box.replaceChildren();
    const [first] = lines.values();
    if (first === undefined) return;
    const stuck = [...lines.values()].filter(({ again }) => again !== null);
    if (stuck.length === 0) {
      box.textContent =
        first.trouble === "network" ? this.texts.get("lineBroken") : troubleOf(this.texts, first.trouble);
      return;
    }
    const button = element("button", this.texts.get("tryAgain"));
    button.type = "button";
    button.addEventListener("click", () => {
      for (const { again } of stuck) again?.();
    });
    box.append(element("p", this.texts.get("lineGone")), button);
  }

  /** Shows why nothing was sent, or nothing can be. */
  failed(code: Code, file: number | null = null): void {
    if (delivery?.lost(code) === true) {
      this.#forgetSent();
      return this.#offerForm();
    }
    if (code !== "stopped") this.#toldAt = 0; // it may be why
    const screen = view("view-failed");
    const digits = delivery?.accessCode ?? null;
    // The screen holds an explanation for each group of codes, and for each fate of an access code; all but two are
    // removed.
    const find = (selector: string): HTMLElement[] => [...screen.content.querySelectorAll<HTMLElement>(selector)];
    const isNamed = find(`[data-code~=${code}]`).length > 0;
    const [named, fate] = explained(code, isNamed, delivery ?? { inDoubt: false, isLater: false });
    for (const one of find(`[data-code]:not([data-code~=${named}], [data-code~=${fate}])`)) one.remove();
    screen.part("void").hidden = digits === null && fate !== "later";
    delivery?.wipe();
    delivery = null;
    // Where it is worth keeping it is shown once more, and above the form: the screen that showed it is gone.
    const isDoubtful = digits !== null && fate !== "void";
    if (isDoubtful) {
      doubtful = digits;
      screen.part("access-code").replaceChildren(codeScreen(digits));
      screen.part("home").hidden = true; // no way leads from a code that is not on paper yet
    }
    screen.part("code").textContent = code;
    screen.part("today").textContent = this.texts.today();
    screen.part("file").textContent = sent?.mark(file) ?? "";
    const back = screen.part("back");
    back.hidden = current() === undefined;
    back.addEventListener("click", () => {
      const form = current();
      if (form === undefined) return this.open("start");
      if (isDoubtful) form.root.prepend(screen.part("void"));
      this.#renew();
      show(form.root);
    });
    show(screen.content);
  }

  /** Shows the screen behind a door; `first` when it is the first one of the page. */
  open(door: Door, first = false): void {
    pressed = null;
    if (door === "start") {
      const screen = element("div");
      screen.append(...this.#start);
      return show(screen);
    }
    this.#renew();
    if (door === "continue") {
      continuing?.wipe();
      continuing = new Opening("find", this.#lent);
      return continuing.show(first);
    }
    if (door === "read") {
      if (inbox?.isOpen !== true) {
        inbox?.wipe();
        inbox = new Opening("open", this.#lent);
      }
      return inbox.show(first);
    }
    ask({ kind: "write" });
    accessCode = null;
    const form = current() ?? this.#begin([]);
    if (!form.root.isConnected) show(form.root, first); // or the first script has: people may be typing
  }

  #ready({ organisations, closed }: FromWorker & { kind: "ready" }): void {
    this.#organisations = organisations;
    this.#closed = closed;
    this.#isReady = true;
    const waited = pressed;
    pressed = null;
    const form = current();
    const isSeen = form?.root.isConnected === true;
    const isPressed = isSeen && waited === form;
    for (const one of forms.values()) one.ready(organisations, isPressed && one === form && closed === null);
    if (waited !== null && "upload" in waited) return this.#continue(waited);
    if (closed === null) this.#closedShown = null;
    if (closed === null || form === undefined) return;
    // What was written is not taken away: it can be copied, and is sealed to nobody.
    const isKept = !form.isEmpty || doubtful !== null;
    if (!isKept) {
      form.wipe();
      forms.delete(accessCode);
    }
    // Who goes back to it is not told once more.
    if (!isSeen || (isKept && !isPressed && closed === this.#closedShown)) return;
    this.#closedShown = closed;
    this.failed(closed);
  }

  /** Why nobody can be written back to, or nothing. */
  #nobody(): string {
    if (this.#closed === "foreign-key") return this.texts.get("foreignKey");
    return this.#organisations.length === 0 ? this.texts.get("nobodyNow") : "";
  }

  /** Begins the form of the code that is turned to; these are chosen at first. */
  #begin(chosen: readonly string[]): Form {
    const form = new Form(this.texts, this.listed, chosen, accessCode !== null, (content) => this.#send(content));
    forms.set(accessCode, form);
    if (this.#told !== "") showCollected(this.texts, form.root, this.#told);
    if (this.#isReady) form.ready(this.#organisations);
    return form;
  }

  #showForm(): void {
    pressed = null;
    const form = current();
    if (form !== undefined) show(form.root);
  }

  /** Shows the form for another message in the conversations of the open mailbox. */
  #writeBack(answered: readonly string[], digits: string): void {
    ask({ kind: "write" });
    this.#renew();
    accessCode = digits;
    // What is written stays: an answer is read again while one answers it.
    if (!forms.has(digits))
      this.#begin(answered).onBack(() => (history.state === null ? inbox?.show() : history.back()));
    // An entry of its own in the history: Back leads to the answers, not out of the page.
    if (history.state === null) history.pushState({ depth: 1 }, "");
    begun().jump = -1; // it lies behind Forward, once Back has led away from it
    this.#showForm();
  }

  /** Shows a way to what was written and is not sent, below a screen from which no link leads to it. */
  #offerForm(): void {
    const root = app?.firstElementChild;
    root?.querySelector("[data-part=back]")?.remove();
    // Doors lead to a first message, which comes first where there is none.
    const hasDoor = app?.querySelector("[data-door]") !== null;
    const codes = unsent();
    const code = codes.includes(null) && !hasDoor ? null : codes.find((one) => one !== null);
    if (code === undefined) return;
    const back = view("view-failed").part("back");
    back.addEventListener("click", () => {
      delivery?.wipe();
      delivery = null;
      this.#renew();
      accessCode = code;
      if (code === null) this.open("write");
      else this.#showForm();
    });
    (root?.querySelector("[data-part=done-step]") ?? root)?.append(back);
  }

  #forgetSent(): void {
    if (sent === null) return;
    if (history.state !== null) history.back(); // what was written is sent: the entry was for that
    sent.wipe();
    for (const [code, form] of forms) if (form === sent) forms.delete(code);
    sent = null;
  }

  /** Goes on with an upload, or sends its files from the start. */
  #continue(choice: Choice): void {
    const { index, upload, files, accessCode: digits, isAnew } = choice;
    if (isAnew && !this.#isReady) {
      pressed = choice;
      return;
    }
    if (isAnew && this.#closed !== null) return this.failed(this.#closed);
    sent = null;
    const { chosen, continues } = upload;
    const order = { ...this.#order(digits), files, chosen, continues, mayContinue: true, replaces: index };
    const begin = isAnew ? null : ({ kind: "continue", upload: index, files } as const);
    delivery = new Delivery(this.texts, ask, order, this.#namesOf(chosen), begin);
  }

  /** What all orders share. */
  #order(digits: string | null) {
    const message: Bytes = new Uint8Array();
    return { api: this.addresses.envelope, language: this.texts.language, accessCode: digits, message };
  }

  #namesOf(chosen: readonly string[]): string[] {
    // An upload of another day may be for one that the page lists no more.
    const unknown = this.texts.get("unknownOrganisation");
    return chosen.map((id) => this.listed.find((one) => one.id === id)?.name ?? unknown);
  }

  #send(content: Content): void {
    this.#renew();
    const form = current() ?? null;
    if (!this.#isReady) {
      pressed = form;
      return;
    }
    const order = { ...this.#order(accessCode ?? doubtful), ...content, continues: null, replaces: null };
    sent = form;
    delivery = new Delivery(this.texts, ask, order, this.#namesOf(content.chosen));
    if (accessCode !== null || doubtful === null) return;
    // Whichever of the two arrives, one code opens the answers, and it is shown until it is typed back.
    delivery.doubt(doubtful);
    form?.root.querySelector("[data-part=void]")?.remove();
    doubtful = null;
  }

  hear(news: FromWorker): void {
    switch (news.kind) {
      case "here":
        return;
      case "ready":
        return this.#ready(news);
      case "notices":
        return this.#notices?.replaceChildren(...news.notices.map((one) => noticeOf(this.texts, one)));
      case "letter":
        return delivery?.letter(news.accessCode);
      case "checks":
        return delivery?.sealed(news.checks);
      case "continuable":
      case "words":
        return delivery?.[news.kind]();
      case "found":
      case "unfound":
        return continuing?.hear(news);
      case "unmatched":
      case "differs":
        delivery?.wipe();
        delivery = null;
        return continuing?.hear(news);
      case "progress":
        return delivery?.progress(news);
      case "working":
        return delivery?.working(news.work);
      case "asked":
        return delivery?.asked(news.seconds);
      case "skipped":
        return delivery?.skipped(news.file, news.code);
      case "connection":
        return delivery?.trouble(news.trouble, news.pause);
      case "reading":
        for (const one of asking()) one?.reading(news.trouble);
        return;
      case "stored":
        this.#forgetSent();
        delivery?.stored(news);
        return this.#offerForm();
      case "doubt":
        return delivery?.doubt(news.accessCode);
      case "failed":
        return this.failed(news.code, news.file);
      case "spelled":
        return delivery?.spelled(news.spelled);
      case "judged":
        for (const one of asking()) one?.judged(news.turn, news.judgement);
        return;
      default:
        return inbox?.hear(news);
    }
  }
}

/**
 * Goes back from the entry that a link of the start made, pressed before any script came: so Back leaves the site. The
 * address that was asked for has no such end. From the first script on a link takes the place of the page instead.
 */
function forgetJump(): void {
  if (begun().jump !== 1) return;
  begun().jump = -1;
  history.back();
}

async function start(main: HTMLElement): Promise<void> {
  const source = document.getElementById("words");
  const box = document.getElementById("loading");
  const { worker: script = "", envelope = "", mailbox = "", lists = "", now = "" } = main.dataset;
  if (source === null || box === null) return;
  const texts = new Texts(source, document.documentElement.lang);
  const absolute = (path: string): string => location.origin + path;
  const addresses = { envelope: absolute(envelope), mailbox: absolute(mailbox), lists: absolute(lists) };
  const isFit = await canSeal();
  const screen = begun().start ?? main;
  const page = new Page(texts, addresses, isFit ? await listedIn(screen) : [], screen, box);
  // Nobody writes who could not leave: that is the first script's.
  const firstScript = document.querySelector<HTMLScriptElement>("script[data-page]");
  if (firstScript !== null) await page.need(firstScript.src);
  if (!main.isConnected) return; // left meanwhile
  const go = (to: Door, first = false): void => {
    if (isFit || to === "start") page.open(to, first);
    else page.failed("unsupported");
  };

  main.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || link.hasAttribute("download")) return;
    event.preventDefault();
    const { door } = link.dataset;
    if (isDoor(door)) go(door);
    else location.replace(link.href); // one entry in the history, so that Back leaves the site
  });
  const door = doorOf(location);
  forgetJump();
  if (door !== "start") go(door, true);
  box.textContent = "";
  if (isFit) void page.load(script, absolute(now));

  // From the first character or file on, a link to another language would lose it; who deletes all of it may go.
  const languages = document.getElementById("languages");
  const guard = (isNothing: boolean): void => {
    languages?.toggleAttribute("hidden", !isNothing);
  };
  main.addEventListener("input", ({ target }) => {
    const isEmptied = (target as HTMLInputElement).value === "";
    guard(isEmptied && delivery === null && unsent().length === 0);
    pressed = null; // it is pressed again when all of it is there
  });
  if (unsent().length > 0) guard(false);

  // Unhandled, a file dropped beside the form would be opened by the browser, in place of this page.
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    guard(false);
    pressed = null;
    const form = current();
    if (form?.root.isConnected && event.dataTransfer !== null) form.drop(event.dataTransfer);
  });
}

// On a bad line it may come twice, or before the document is whole: then it is asked for once more.
if (!begun().isPageThere && isWhole()) {
  begun().isPageThere = true;
  addEventListener("beforeunload", warn);
  onLeaving(wipe);
  if (app !== null) void start(app);
}
