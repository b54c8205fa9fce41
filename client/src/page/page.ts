// The page: screens and fields. Its only secret is the access code that it shows or takes; keys, sealing, opening and
// all requests are the worker's, so that a slow computation never freezes the page. Nothing is stored or logged, and
// leaving the page wipes everything.

import type { Code } from "../errors.js";
import type { Addresses, FromWorker, Organisation, ToWorker } from "../messages.js";
import { tellCollected } from "./collected.js";
import { Delivery, troubleOf } from "./delivery.js";
import { type Content, Form } from "./form.js";
import { Inbox } from "./inbox.js";
import { app, accessCode as codeScreen, onLeaving, show, view } from "./screen.js";
import { Texts } from "./texts.js";

let worker: Worker | null = null;
/** The worker that seals, on a page whose first worker only reads; started when somebody writes back. */
let sealer: Worker | null = null;
let form: Form | null = null;
let delivery: Delivery | null = null;
let inbox: Inbox | null = null;
/** What is wrong with the line before there is anything else to show; on the page until then. */
const loading = document.getElementById("loading");

function ask(message: ToWorker, transfer: Transferable[] = []): void {
  const seals = message.kind === "send" || message.kind === "stop" || message.kind === "agree";
  (seals ? (sealer ?? worker) : worker)?.postMessage(message, transfer);
}

/** Has the browser ask before an unfinished upload is closed. */
function warn(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

/** Wipes all that was written, chosen, typed and shown. The workers end with their secrets. */
function wipe(): void {
  worker?.terminate();
  worker = null;
  sealer?.terminate();
  sealer = null;
  form?.wipe();
  form = null;
  delivery?.wipe();
  delivery = null;
  inbox?.wipe();
  inbox = null;
  app?.replaceChildren();
  removeEventListener("beforeunload", warn);
}

/** Screens that stay true when the message may have arrived. */
const UNDECIDED: readonly Code[] = ["stopped", "part-differs"];

function showFailed(texts: Texts, code: Code, file: number | null): void {
  removeEventListener("beforeunload", warn);
  const screen = view("view-failed");
  const inDoubt = delivery?.inDoubt === true;
  const isPartly = delivery?.wordsAreThere === true;
  const digits = delivery?.accessCode ?? null;
  screen.part("void").hidden = digits === null;
  delivery?.wipe();
  delivery = null;
  // The screen holds an explanation for each group of codes; all but one are removed.
  const reasons = [...screen.content.querySelectorAll<HTMLElement>("[data-code]")];
  const covers = (reason: HTMLElement, name: string): boolean =>
    reason.dataset["code"]?.split(" ").includes(name) === true;
  const isNamed = reasons.some((reason) => covers(reason, code)) && (!inDoubt || UNDECIDED.includes(code));
  const unnamed = inDoubt ? "other" : "unsent";
  const wholly = isNamed ? code : unnamed;
  const named = isPartly ? "partly" : wholly;
  for (const reason of reasons) if (!covers(reason, named)) reason.remove();
  // Where it is worth keeping it is shown once more: the screen that showed it is gone.
  if (digits !== null && (named === "other" || isPartly || UNDECIDED.includes(code)))
    screen.part("access-code").replaceChildren(codeScreen(digits));
  screen.part("code").textContent = code;
  screen.part("today").textContent = texts.today();
  screen.part("file").textContent = file === null ? "" : (form?.nameOf(file) ?? "");
  const back = screen.part("back");
  back.hidden = form === null || isPartly; // the words would go twice
  back.addEventListener("click", () => form && show(form.root));
  show(screen.content);
}

/** One page: its texts, its addresses and its organisations. */
class Page {
  #organisations: readonly Organisation[] = [];
  /** The digits of the access code that messages are sent under; `null` makes a new one. */
  #accessCode: string | null = null;

  constructor(
    readonly texts: Texts,
    readonly addresses: Addresses,
    /** The organisations that stand in the page's own bytes: no other's key is sealed to. */
    readonly listed: readonly Organisation[],
    /** The script of the worker that seals, on a page whose first worker only reads; else empty. */
    readonly sealerScript: string,
  ) {}

  /** Starts a worker of this page; `failed` is called when it cannot run. */
  startWorker(script: string, failed: () => void): Worker {
    const started = new Worker(script);
    started.onmessage = ({ data }: MessageEvent<FromWorker>) => this.hear(data, started);
    started.onerror = failed;
    const { listed, addresses } = this;
    started.postMessage({ kind: "start", listed, addresses } satisfies ToWorker);
    return started;
  }

  #ready({ organisations, foreign }: FromWorker & { kind: "ready" }): void {
    if (inbox !== null || form !== null) return; // a second worker, started to write back
    this.#organisations = organisations;
    if (this.addresses.mailbox !== "") {
      const write = (answered: readonly string[], accessCode: string): void => this.#write(answered, accessCode);
      inbox = new Inbox(this.texts, ask, write, this.#closed(foreign));
      return;
    }
    const all = organisations.map(({ id }) => id);
    form = new Form(this.texts, organisations, all, (content) => this.#send(content));
    show(form.root, true);
  }

  /** Why nobody can be written to, or nothing. */
  #closed(foreign: boolean): string {
    if (foreign) return this.texts.get("foreignKey");
    return this.#organisations.length === 0 ? this.texts.get("nobodyNow") : "";
  }

  /** Shows the form for another message in the conversations of the open mailbox. */
  #write(answered: readonly string[], accessCode: string): void {
    this.#accessCode = accessCode;
    this.#startSealer();
    if (form === null) {
      form = new Form(this.texts, this.#organisations, answered, (content) => this.#send(content));
      form.onBack(() => inbox?.show()); // what is written stays: an answer is read again while one answers it
    }
    show(form.root);
  }

  #startSealer(): void {
    if (this.sealerScript === "") return;
    sealer ??= this.startWorker(this.sealerScript, () => {
      sealer?.terminate();
      sealer = null;
      if (delivery !== null) showFailed(this.texts, "network", null);
    });
  }

  #send({ message, files, chosen }: Content): void {
    this.#startSealer();
    addEventListener("beforeunload", warn);
    delivery = new Delivery(this.texts, ask);
    const api = this.addresses.envelope;
    const { language } = this.texts;
    ask({ kind: "send", order: { api, message, files, chosen, language, accessCode: this.#accessCode } }, [
      message.buffer,
    ]);
  }

  hear(news: FromWorker, from: Worker): void {
    switch (news.kind) {
      case "ready":
        return this.#ready(news);
      case "letter":
        return delivery?.letter(news.accessCode);
      case "checks":
        return delivery?.sealed(news.checks, news.files);
      case "progress":
        return delivery?.progress(news);
      case "working":
        return delivery?.working(news.work);
      case "asked":
        return delivery?.asked(news.seconds);
      case "words":
        return delivery?.words();
      case "connection":
        if (form === null && inbox === null && loading !== null)
          loading.textContent = troubleOf(this.texts, news.trouble);
        // A worker that only reads may be fetching something while a message is sent.
        return (from === worker ? (inbox ?? delivery) : delivery)?.trouble(news.trouble);
      case "stored":
        removeEventListener("beforeunload", warn);
        form?.wipe();
        form = null;
        return delivery?.stored();
      case "doubt":
        return delivery?.doubt(news.accessCode);
      case "failed":
        return showFailed(this.texts, news.code, news.file);
      case "spelled":
        return delivery?.spelled(news.words);
      case "judged":
        return (delivery ?? inbox)?.judged(news.turn, news.judgement);
      case "opening":
        return inbox?.opening();
      case "opened":
        return inbox?.opened(news);
      case "loaded":
        return inbox?.loaded(news.reply, news.answer);
      case "fetching":
        return inbox?.fetching(news);
      case "fetched":
        return inbox?.fetched(news);
      case "deleted":
        return inbox?.deleted();
      case "unread":
        return news.code === "bad-passphrase" ? inbox?.refused() : inbox?.unread(news.code, news.deleting);
    }
  }
}

function start(main: HTMLElement): void {
  const source = document.getElementById("words");
  const { worker: script, sealer: sealerScript = "", envelope, mailbox = "", lists, now, organisations } = main.dataset;
  if (
    source === null ||
    script === undefined ||
    envelope === undefined ||
    lists === undefined ||
    now === undefined ||
    organisations === undefined
  )
    return;
  const texts = new Texts(source, document.documentElement.lang);
  if (!isSecureContext || globalThis.crypto?.subtle === undefined || globalThis.Worker === undefined) {
    showFailed(texts, "unsupported", null);
    return;
  }
  const absolute = (path: string): string => (path === "" ? "" : location.origin + path);
  const addresses = {
    envelope: absolute(envelope),
    mailbox: absolute(mailbox),
    lists: absolute(lists),
    now: absolute(now),
  };
  const page = new Page(texts, addresses, JSON.parse(organisations) as Organisation[], sealerScript);
  worker = page.startWorker(script, () => {
    delivery?.doubt(delivery.accessCode); // nobody knows how far it came
    showFailed(texts, form === null && inbox === null ? "unsupported" : "internal", null);
  });

  // From the first character or file on, a link to another language would lose it.
  const languages = document.getElementById("languages");
  const hide = (): void => {
    languages?.toggleAttribute("hidden", true);
  };
  main.addEventListener("input", hide);

  // Unhandled, a file dropped beside the form would be opened by the browser, in place of this page.
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    hide();
    if (form?.root.isConnected && event.dataTransfer !== null) form.drop(event.dataTransfer);
  });
}

onLeaving(wipe);
if (app !== null) start(app);
void tellCollected();
