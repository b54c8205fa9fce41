// The page: screens and fields, no secret but the Passphrase that it shows. Sealing and sending is the worker's.
// Nothing is stored, nothing is logged; leaving the page wipes it.

import type { Code } from "./errors.js";
import { type Content, Form } from "./form.js";
import type { Check, FromWorker, Organisation, ToWorker } from "./messages.js";
import { element, field, view, type View } from "./views.js";
import { Words } from "./words.js";

const leave = document.getElementById("leave");
const app = document.getElementById("app");
const language = document.documentElement.lang;

let worker: Worker | null = null;
let form: Form | null = null;
let sending: { readonly view: View; passphrase: string; checks: readonly Check[] } | null = null;

function ask(message: ToWorker, transfer: Transferable[] = []): void {
  worker?.postMessage(message, transfer);
}

function warn(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

/** Forgets all that was written, chosen and shown. */
function wipe(): void {
  worker?.terminate();
  worker = null;
  form?.wipe();
  form = null;
  sending = null;
  app?.replaceChildren();
  removeEventListener("beforeunload", warn);
}

/** Shows another screen; screen readers start at its heading. The first one leaves the focus before "Leave quickly". */
function show(content: Node, first = false): void {
  app?.replaceChildren(content);
  const heading = app?.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  if (!first) heading?.focus();
  scrollTo(0, 0);
}

function showForm(words: Words, organisations: readonly Organisation[], api: string): void {
  form = new Form(words, organisations, (content) => startSending(words, content, api));
  show(form.root, true);
}

function startSending(words: Words, content: Content, api: string): void {
  const screen = view("view-sending");
  sending = { view: screen, passphrase: "", checks: [] };
  screen.part("stop").addEventListener("click", () => ask({ kind: "stop" }));
  addEventListener("beforeunload", warn);
  show(screen.content);
  const { message, files, chosen } = content;
  ask({ kind: "send", order: { api, message, files, chosen, language: words.language } }, [message.buffer]);
}

function showPassphrase(target: HTMLElement, digits: string): void {
  const screen = view("view-passphrase");
  screen.part("digits").append(...digits.split(" ").flatMap((group) => [element("span", group), " "]));
  target.replaceChildren(screen.content);
}

function showSent(words: Words): void {
  removeEventListener("beforeunload", warn);
  if (sending === null) return;
  const { passphrase, checks } = sending;
  const screen = view("view-sent");
  showPassphrase(screen.part("passphrase"), passphrase);
  for (const check of [...checks].sort((one, other) => one.name.localeCompare(other.name, words.language))) {
    const name = element("dt");
    name.append(element("bdi", check.name));
    const digits = element("dd", check.digits);
    digits.dir = "ltr";
    screen.part("checks").append(name, digits);
  }
  const again = field("textarea"); // all digits are to be seen at once, on phones too
  again.rows = 2;
  again.inputMode = "numeric";
  again.setAttribute("aria-label", words.get("againLabel"));
  const result = screen.part("again-result");
  again.addEventListener("input", () => {
    const typed = again.value.replace(/[\s.\-_]/g, "");
    const right = typed === passphrase.replace(/ /g, "");
    result.textContent = typed.length < 36 ? "" : words.get(right ? "againRight" : "againWrong");
  });
  screen.part("again").append(again);
  form?.wipe();
  form = null;
  sending = null;
  show(screen.content);
}

function showFailed(words: Words, code: Code, file: number | null): void {
  removeEventListener("beforeunload", warn);
  const screen = view("view-failed");
  screen.part("void").hidden = sending === null || sending.passphrase === "";
  sending = null;
  const reasons = [...screen.content.querySelectorAll<HTMLElement>("[data-code]")];
  const covers = (reason: HTMLElement, name: string): boolean => reason.dataset["code"]?.split(" ").includes(name) === true;
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

function showProgress(words: Words, news: FromWorker & { kind: "progress" }): void {
  if (sending === null) return;
  const bar = sending.view.part("bar");
  if (bar instanceof HTMLProgressElement) bar.value = news.bytes / news.total;
  sending.view.part("numbers").textContent = words.get("sent", { done: words.size(news.bytes), total: words.size(news.total) });
  const { rate, remaining } = news;
  const pace = rate === null || remaining === null ? [] : [words.rate(rate), words.get("remaining", { time: words.time(remaining) })];
  sending.view.part("pace").textContent = pace.map((piece) => ` · ${piece}`).join("");
}

/** The words for each trouble that passes by itself. */
const TROUBLES: Partial<Record<Code, string>> = { "slow-down": "lineSlowDown", unavailable: "lineUnavailable", network: "lineNetwork" };

function showTrouble(words: Words, trouble: Code | null): void {
  if (sending === null) return;
  sending.view.part("trouble").textContent = trouble === null ? "" : words.get(TROUBLES[trouble] ?? "lineNetwork");
  sending.view.part("pace").hidden = trouble !== null; // what was true before the line broke
}

function hear(news: FromWorker, words: Words, api: string): void {
  switch (news.kind) {
    case "ready":
      showForm(words, news.organisations, api);
      break;
    case "letter":
      if (sending === null) break;
      sending.passphrase = news.passphrase;
      sending.checks = news.checks;
      showPassphrase(sending.view.part("passphrase"), news.passphrase);
      break;
    case "progress":
      showProgress(words, news);
      break;
    case "line":
      showTrouble(words, news.trouble);
      break;
    case "stored":
      showSent(words);
      break;
    case "failed":
      showFailed(words, news.code, news.file);
      break;
  }
}

function start(main: HTMLElement): void {
  const texts = document.getElementById("words");
  const { worker: script, manifests, api } = main.dataset;
  if (texts === null || script === undefined || manifests === undefined || api === undefined) return;
  const words = new Words(texts, language);
  if (!isSecureContext || globalThis.crypto?.subtle === undefined || globalThis.Worker === undefined) {
    showFailed(words, "unsupported", null);
    return;
  }
  worker = new Worker(script);
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => hear(data, words, new URL(api, location.origin).href);
  worker.onerror = () => showFailed(words, form === null ? "unsupported" : "internal", null);
  ask({ kind: "start", manifests: JSON.parse(manifests) as string[] });

  // A file dropped beside the form would make the browser open it.
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    if (sending === null && event.dataTransfer !== null) form?.drop(event.dataTransfer);
  });
}

if (leave instanceof HTMLAnchorElement) {
  leave.addEventListener("click", (event) => {
    event.preventDefault();
    wipe();
    location.replace(leave.href);
  });
}
if (app !== null) {
  start(app);
  addEventListener("pagehide", wipe);
  // A page that a browser kept alive was wiped when it was left: load it again.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}
