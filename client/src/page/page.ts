// The page: screens and fields, no secret but the access code that it shows or takes. Sealing, opening, sending and fetching is
// the worker's. Nothing is stored, nothing is logged; leaving the page wipes it.

import type { Code } from "../errors.js";
import type { Addresses, FromWorker, Organisation, ToWorker } from "../messages.js";
import { type Content, Form } from "./form.js";
import { Inbox } from "./inbox.js";
import { app, onLeaving, show } from "./screen.js";
import { Sending } from "./sent.js";
import { Words } from "./texts.js";
import { view } from "./views.js";

let worker: Worker | null = null;
/** Seals, on a page whose worker only reads; started when somebody writes back. */
let sealer: Worker | null = null;
let form: Form | null = null;
let sending: Sending | null = null;
let inbox: Inbox | null = null;

function ask(message: ToWorker, transfer: Transferable[] = []): void {
  const seals = message.kind === "send" || message.kind === "stop";
  (seals ? (sealer ?? worker) : worker)?.postMessage(message, transfer);
}

function warn(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

/** Forgets all that was written, chosen, typed and shown. */
function wipe(): void {
  worker?.terminate();
  worker = null;
  sealer?.terminate();
  sealer = null;
  form?.wipe();
  form = null;
  sending?.wipe();
  sending = null;
  inbox?.wipe();
  inbox = null;
  app?.replaceChildren();
  removeEventListener("beforeunload", warn);
}

function showFailed(words: Words, code: Code, file: number | null): void {
  removeEventListener("beforeunload", warn);
  const screen = view("view-failed");
  screen.part("void").hidden = sending?.promised !== true;
  sending?.wipe();
  sending = null;
  const reasons = [...screen.content.querySelectorAll<HTMLElement>("[data-code]")];
  const covers = (reason: HTMLElement, name: string): boolean =>
    reason.dataset["code"]?.split(" ").includes(name) === true;
  const named = reasons.some((reason) => covers(reason, code)) ? code : "other";
  for (const reason of reasons) if (!covers(reason, named)) reason.remove();
  screen.part("code").textContent = code;
  screen.part("today").textContent = words.today();
  screen.part("file").textContent = file === null ? "" : (form?.nameOf(file) ?? "");
  const back = screen.part("back");
  back.hidden = form === null;
  back.addEventListener("click", () => form && show(form.root));
  show(screen.content);
}

/** What one page does: the words, the addresses and the organisations that it has. */
class Page {
  #organisations: readonly Organisation[] = [];
  /** Under which access code messages go; `null` makes a new one. */
  #passphrase: string | null = null;

  constructor(
    readonly words: Words,
    readonly addresses: Addresses,
    readonly manifests: readonly string[],
    /** The script of the worker that seals, when it is another one. */
    readonly sealer: string,
  ) {}

  /** Starts a worker of this page; `failed` is called when it cannot run. */
  start(script: string, failed: () => void): Worker {
    const started = new Worker(script);
    started.onmessage = ({ data }: MessageEvent<FromWorker>) => this.hear(data);
    started.onerror = failed;
    started.postMessage({ kind: "start", manifests: this.manifests, addresses: this.addresses } satisfies ToWorker);
    return started;
  }

  #ready(organisations: readonly Organisation[]): void {
    if (inbox !== null || form !== null) return; // the worker that seals, beside the one that reads
    this.#organisations = organisations;
    if (this.addresses.mailbox !== "") {
      inbox = new Inbox(this.words, ask, (answered, passphrase) => this.#write(answered, passphrase));
      return;
    }
    const all = organisations.map(({ id }) => id);
    form = new Form(this.words, organisations, all, (content) => this.#send(content));
    show(form.root, true);
  }

  /** Another message into the threads of the mailbox that is open. */
  #write(answered: readonly string[], passphrase: string): void {
    this.#passphrase = passphrase;
    this.#startSealer();
    form?.wipe();
    form = new Form(this.words, this.#organisations, answered, (content) => this.#send(content));
    form.onBack(() => {
      form?.wipe();
      form = null;
      inbox?.show();
    });
    show(form.root);
  }

  #startSealer(): void {
    if (this.sealer === "") return;
    sealer ??= this.start(this.sealer, () => {
      sealer?.terminate();
      sealer = null;
      if (sending !== null) showFailed(this.words, "network", null);
    });
  }

  #send({ message, files, chosen }: Content): void {
    this.#startSealer();
    addEventListener("beforeunload", warn);
    sending = new Sending(this.words, ask);
    const api = this.addresses.envelope;
    const { language } = this.words;
    ask({ kind: "send", order: { api, message, files, chosen, language, passphrase: this.#passphrase } }, [
      message.buffer,
    ]);
  }

  #unread(code: Code): void {
    if (code === "bad-passphrase") {
      inbox?.refused();
      return;
    }
    const screen = view("view-unread");
    screen.part("code").textContent = code;
    inbox?.wipe();
    inbox = null;
    show(screen.content);
  }

  hear(news: FromWorker): void {
    switch (news.kind) {
      case "ready":
        return this.#ready(news.organisations);
      case "letter":
        return sending?.letter(news.passphrase, news.checks);
      case "progress":
        return sending?.progress(news);
      case "line":
        return (sending ?? inbox)?.trouble(news.trouble);
      case "stored":
        removeEventListener("beforeunload", warn);
        form?.wipe();
        form = null;
        return sending?.stored();
      case "failed":
        return showFailed(this.words, news.code, news.file);
      case "spelled":
        return sending?.spelled(news.words);
      case "judged":
        return (sending ?? inbox)?.judged(news.turn, news.judgement);
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
        return this.#unread(news.code);
    }
  }
}

function start(main: HTMLElement): void {
  const texts = document.getElementById("words");
  const { worker: script, sealer: other = "", manifests, envelope, mailbox = "", lists } = main.dataset;
  if (
    texts === null ||
    script === undefined ||
    manifests === undefined ||
    envelope === undefined ||
    lists === undefined
  )
    return;
  const words = new Words(texts, document.documentElement.lang);
  if (!isSecureContext || globalThis.crypto?.subtle === undefined || globalThis.Worker === undefined) {
    showFailed(words, "unsupported", null);
    return;
  }
  const whole = (path: string): string => (path === "" ? "" : location.origin + path);
  const addresses = { envelope: whole(envelope), mailbox: whole(mailbox), lists: whole(lists) };
  const page = new Page(words, addresses, JSON.parse(manifests) as string[], other);
  worker = page.start(script, () =>
    showFailed(words, form === null && inbox === null ? "unsupported" : "internal", null),
  );

  // A file dropped beside the form would make the browser open it.
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    if (sending === null && event.dataTransfer !== null) form?.drop(event.dataTransfer);
  });
}

onLeaving(wipe);
if (app !== null) start(app);
