// The desk: shows the screens that the process behind it renders. It holds the secret of one session, and nothing of it
// is stored: when the desk is locked, this page and its browser end.

import { Compose } from "./compose.js";
import { press } from "./keys.js";
import { ask, askPicture, type Fields, hangUp, Locked, Problem, sayLast, unlock } from "./line.js";
import * as rows from "./rows.js";

const LIVES = 20_000;
const WORKING = 400;
const WATCHING = 2000;
const TRANSLATED = 1200;

interface Visit {
  path: string;
  fields: Fields;
  thread: string;
  at: number;
}

function byId<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new TypeError(id);
  return found;
}

const screen = byId("screen", HTMLElement);
const said = byId("said", HTMLElement);
const token = location.hash.slice(1);
/** Where Escape leads back to. */
const trail: Visit[] = [];
let here: Visit | null = null;
/** The threads of the last list, in its order: for "next" from a thread. */
let order: string[] = [];
let compose: Compose | null = null;
let isOpen = false;
let isSealing = false;
let isUnlocking = false;
let lived = 0;
let polling: ReturnType<typeof setTimeout> | undefined;

// --- showing ---------------------------------------------------------------------------------------------------------

function say(text: string, isProblem = false): void {
  const [first, ...rest] = text.split("\n");
  said.textContent = first ?? "";
  for (const line of rest) {
    const more = document.createElement("small"); // the line of a command, which is in English
    more.lang = "en";
    more.dir = "ltr";
    more.textContent = line;
    said.append(more);
  }
  said.classList.toggle("problem", isProblem);
}

/** Nothing that was shown stays. */
function blank(): void {
  if (!isOpen) return;
  isOpen = false;
  const waits = document.querySelector("[data-running]") !== null;
  globalThis.clearTimeout(polling);
  compose = null;
  hangUp();
  translating.clear();
  trail.length = 0;
  order = [];
  here = null;
  screen.replaceChildren();
  document.body.classList.remove("locking");
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.remove();
  document.querySelector("#bar")?.remove();
  say("");
  const gone = byId("gone", HTMLElement);
  gone.hidden = false;
  const line = gone.querySelector<HTMLElement>(".waits");
  if (line) line.hidden = !waits;
}

function parsed(html: string): Node[] {
  return [...new DOMParser().parseFromString(html, "text/html").body.childNodes];
}

function shownSection(): HTMLElement | null {
  return screen.querySelector<HTMLElement>("[data-screen]");
}

function show(html: string, visit: Visit): void {
  globalThis.clearTimeout(polling);
  compose = null;
  screen.replaceChildren(...parsed(html));
  const section = shownSection();
  // What is asked for again is the screen, never the act that it came from.
  here = { ...visit, path: section?.dataset["path"] ?? visit.path };
  document.title = `${section?.dataset["title"] ?? ""} · tipbox`;
  say(section?.dataset["said"] ?? "");
  for (const one of document.querySelectorAll<HTMLElement>("#bar [data-go]")) {
    if (one.dataset["go"] === here.path) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  if (section?.dataset["actPath"] && section.dataset["screen"] !== "thread") {
    order = rows.shown();
    rows.resume(visit.thread, visit.at);
  } else {
    screen.focus({ preventScroll: true });
    globalThis.scrollTo(0, 0);
  }
  const writing = section?.querySelector<HTMLElement>(".compose");
  const field = writing?.querySelector("textarea");
  if (section && writing && field) compose = new Compose(section, writing, field, blank);
  for (const picture of screen.querySelectorAll<HTMLImageElement>("img[data-picture]")) {
    void guarded(() => fill(picture));
  }
  watchJob();
}

/** Shows a picture, whose bytes stay in this page's memory. */
async function fill(picture: HTMLImageElement): Promise<void> {
  const address = URL.createObjectURL(await askPicture("/file/picture", [["index", picture.dataset["picture"] ?? ""]]));
  picture.addEventListener("load", () => URL.revokeObjectURL(address), { once: true });
  picture.src = address;
}

async function guarded(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Problem) say(error.message, true);
    else if (error instanceof Locked) blank();
    else throw error;
  }
}

function remember(): void {
  if (!here) return;
  const row = rows.current();
  here.thread = row?.dataset["thread"] ?? here.thread;
  here.at = row ? rows.place() : here.at;
}

async function visitScreen(next: Visit): Promise<void> {
  await keepTranslations();
  await compose?.flush();
  show(await ask(next.path, next.fields), next);
}

async function went(path: string, fields: Fields, isAside: boolean): Promise<void> {
  remember();
  const before = here;
  await visitScreen({ path, fields, thread: "", at: 0 });
  if (before && !isAside && before !== trail.at(-1)) trail.push(before); // a button may be pressed twice
}

function go(path: string, fields: Fields = [], isAside = false): void {
  void guarded(() => went(path, fields, isAside));
}

const underWay = new WeakSet<HTMLElement>();

/** Does what a form or a button asks for, once until it is done: it is pressed again when nothing seems to happen. */
function once(from: HTMLElement, work: () => Promise<void>): void {
  if (underWay.has(from)) return;
  underWay.add(from);
  void guarded(work).finally(() => underWay.delete(from));
}

function back(): void {
  const before = trail.pop();
  if (before) void guarded(() => visitScreen(before));
}

/** Shows what came of an act in place of the screen that is shown. */
async function acted(path: string, fields: Fields): Promise<void> {
  remember();
  const now = here ?? { path, fields: [], thread: "", at: 0 };
  await compose?.flush();
  await keepTranslations();
  show(await ask(path, [...fields, ...now.fields]), now);
}

function act(path: string, fields: Fields): void {
  void guarded(() => acted(path, fields));
}

// --- work that goes on by itself ---------------------------------------------------------------------------------------

function watchJob(): void {
  const place = document.getElementById("job");
  if (!place?.firstElementChild) return;
  const isRunning = place.querySelector("[data-running]") !== null;
  polling = globalThis.setTimeout(
    () =>
      void guarded(async () => {
        const folder = shownSection()?.dataset["folder"] ?? "";
        const html = await ask("/stick/job", [["path", folder]]);
        if (!place.isConnected) return;
        place.replaceChildren(...parsed(html));
        const isOver = isRunning && place.querySelector("[data-running]") === null;
        if (isOver && shownSection()?.dataset["screen"] === "same") {
          go("/same", [], true);
          return;
        }
        if (isOver && shownSection()?.dataset["screen"] === "stick") await renew(folder);
        watchJob();
      }),
    isRunning ? WORKING : WATCHING,
  );
}

/** After a job: what lies on the stick and how the copy is, and no field that somebody may be typing into. */
async function renew(folder: string): Promise<void> {
  const fresh = new DOMParser().parseFromString(await ask("/stick", [["path", folder]]), "text/html");
  for (const id of ["lies", "copy-state"]) {
    const found = fresh.getElementById(id);
    if (found) document.getElementById(id)?.replaceChildren(...found.childNodes);
  }
}

function live(): void {
  const now = Date.now();
  if (!isOpen || now - lived < LIVES) return;
  lived = now;
  void guarded(async () => void (await ask("/stay")));
}

// --- acts --------------------------------------------------------------------------------------------------------------

function question(from: HTMLElement): Promise<string | null> {
  const dialog = byId("ask", HTMLDialogElement);
  const field = byId("ask-text", HTMLInputElement);
  field.hidden = from.dataset["label"] === undefined;
  byId("ask-title", HTMLElement).textContent = from.dataset["ask"] ?? "";
  byId("ask-label", HTMLElement).textContent = from.dataset["label"] ?? "";
  const list = from.dataset["list"]; // without one, Firefox would complain of an empty name
  const known = list === undefined ? null : document.getElementById(list);
  byId("ask-list", HTMLElement).replaceChildren(...[...(known?.children ?? [])].map((one) => one.cloneNode()));
  field.value = from.dataset["value"] ?? known?.querySelector("option")?.value ?? "";
  dialog.returnValue = "";
  dialog.showModal();
  if (!field.hidden) field.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue ? field.value : null), { once: true });
  });
}

async function change(from: HTMLElement): Promise<void> {
  const section = shownSection();
  const path = section?.dataset["actPath"];
  const threads = section?.dataset["thread"] ? [section.dataset["thread"]] : rows.chosen();
  if (!path || threads.length === 0) return;
  const text = from.dataset["ask"] === undefined ? "" : await question(from);
  if (text === null) return;
  const chosen = threads.map((one) => ["thread", one] as const);
  try {
    await acted(path, [["act", from.dataset["act"] ?? ""], ["text", text], ...chosen]);
  } catch (error) {
    if (text) from.dataset["value"] = text; // it was refused: what was typed is there at the next try
    throw error;
  }
}

/** Begins what takes long, when it is meant: what an outbox took cannot be taken back. The folder is what is typed. */
async function start(from: HTMLElement): Promise<void> {
  const folder = byId("path", HTMLInputElement).value.trim() || (shownSection()?.dataset["folder"] ?? "");
  if (from.dataset["ask"] !== undefined && (await question(from)) === null) return;
  go(
    from.dataset["post"] ?? "",
    [
      ["path", folder],
      ["photos", from.dataset["photos"] ?? ""],
    ],
    true,
  );
}

function openThread(thread: string | undefined): void {
  if (thread) go("/thread", [["thread", thread]], shownSection()?.dataset["screen"] === "thread");
}

/** From a thread to the one so many further on in the list that it was opened from. */
function step(by: number): void {
  const thread = shownSection()?.dataset["thread"];
  if (thread === undefined) rows.move(by);
  else {
    const next = order.includes(thread) ? order[order.indexOf(thread) + by] : undefined;
    if (next) openThread(next);
    else say(document.getElementById("no-more")?.textContent ?? "");
  }
}

/** Once, however often it is pressed until the answer waits for the outbox: a source would get it twice. */
async function seal(): Promise<void> {
  if (isSealing) return;
  isSealing = true;
  try {
    const fields = await compose?.answer();
    if (fields) await acted("/thread/reply", fields);
  } finally {
    isSealing = false;
  }
}

/** Has the pictures compared, and shows how far that is. */
async function compare(): Promise<void> {
  document.getElementById("job")?.replaceChildren(...parsed(await ask("/same/compare")));
  watchJob();
}

/** Changes what goes with the answer that is being written. */
async function answering(path: string, fields: Fields): Promise<void> {
  if (compose) act(path, [...fields, ...(await compose.kept())]);
}

async function attach(from: HTMLElement): Promise<void> {
  const path = await question(from);
  if (path) await answering("/thread/attach", [["path", path]]);
}

/** What is forgotten nobody brings back: a reason is asked for, and no key does it. */
async function forget(from: HTMLElement): Promise<void> {
  const reason = await question(from);
  if (reason === null) return;
  act("/thread/forget", [
    ["tip", from.dataset["forget"] ?? ""],
    ["text", reason],
  ]);
}

/** Nobody sees anything from this moment on, also while what was written is still being kept. */
function lock(): void {
  if (!isOpen) return;
  document.body.classList.add("locking");
  void guarded(async () => {
    try {
      await compose?.flush();
      await keepTranslations();
    } finally {
      await ask("/lock");
      blank();
    }
  });
}

const DEEDS: Readonly<Record<string, () => void>> = {
  open: () => openThread(rows.current()?.dataset["thread"]),
  choose: rows.choose,
  "choose-all": rows.chooseAll,
  "choose-later": rows.chooseLater,
  next: () => step(1),
  previous: () => step(-1),
  back,
  answer: () => compose?.focus(),
  seal: () => void guarded(seal),
  blur: () => {
    for (const tiles of screen.querySelectorAll(".tiles")) tiles.classList.toggle("blurred");
  },
  help: () => byId("help", HTMLDialogElement).showModal(),
  guide: () => {
    byId("help", HTMLDialogElement).close();
    byId("guide", HTMLDialogElement).showModal();
  },
  print: () => globalThis.print(),
  lock,
};

function listFields(view: string, page: string, query: string): Fields {
  return [
    ["view", view],
    ["page", page],
    ["query", query],
  ];
}

/** What a button says of itself is what it does. */
function pressed(from: HTMLElement): void {
  const data = from.dataset;
  const section = shownSection();
  if (data["do"]) DEEDS[data["do"]]?.();
  else if (data["act"]) void guarded(() => change(from));
  else if (data["go"]) go(data["go"]);
  else if (data["view"]) go("/inbox", listFields(data["view"], "0", ""), true);
  else if (data["page"]) go("/inbox", listFields(section?.dataset["view"] ?? "new", data["page"], ""), true);
  else if (data["open"] !== undefined) openThread(from.closest<HTMLElement>("tr")?.dataset["thread"]);
  else if (data["threadOpen"]) openThread(data["threadOpen"]);
  else if (data["words"]) compose?.begin(data["words"]);
  else if (data["compare"] !== undefined) void guarded(compare);
  else if (data["attach"] !== undefined) void guarded(() => attach(from));
  else if (data["detach"]) void guarded(() => answering("/thread/detach", [["number", data["detach"] ?? ""]]));
  else if (data["forget"]) void guarded(() => forget(from));
  else if (data["unsend"]) once(from, () => acted("/thread/unsend", [["reply", data["unsend"] ?? ""]]));
  else if (data["file"]) showFile(from, data["file"]);
  else if (data["fileNumber"]) go("/file", numbered(data["fileNumber"]), true);
  else if (data["look"] !== undefined) lookAtFile(from, data["look"]);
  else if (data["post"]) void guarded(() => start(from));
}

function showFile(from: HTMLElement, number: string): void {
  const tip = from.closest<HTMLElement>("[data-tip]")?.dataset["tip"] ?? "";
  go("/file", [
    ["tip", tip],
    ["number", number],
  ]);
}

/** The file with this number of the tip whose file is shown. */
function numbered(number: string): Fields {
  return [
    ["tip", shownSection()?.dataset["tip"] ?? ""],
    ["number", number],
  ];
}

function fileFields(): Fields {
  return numbered(shownSection()?.dataset["number"] ?? "");
}

function lookAtFile(from: HTMLElement, words: string): void {
  once(from, () => {
    say("…");
    return went("/file/look", [...fileFields(), ["words", words]], true);
  });
}

function submitted(form: HTMLFormElement): void {
  if (form.matches(".search")) {
    go(
      "/inbox",
      listFields(shownSection()?.dataset["view"] ?? "new", "0", byId("query", HTMLInputElement).value),
      true,
    );
  } else if (form.dataset["submit"]) {
    const typed = [...form.querySelectorAll("input")].map((one) => [one.name, one.value] as const);
    // What is typed there is a passphrase, and is not to be said again by "back".
    const path = form.dataset["submit"];
    if (path.startsWith("/staff/")) return once(form, () => acted(path, typed));
    const file = path.startsWith("/file") ? fileFields() : [];
    once(form, () => went(path, [...typed, ...file], true));
  }
}

/** Translations that are not kept yet. */
const translating = new Map<HTMLTextAreaElement, ReturnType<typeof setTimeout>>();

function translationFields(field: HTMLTextAreaElement): Fields {
  return [
    ["tip", field.dataset["translation"] ?? ""],
    ["text", field.value],
  ];
}

function translated(field: HTMLTextAreaElement): void {
  globalThis.clearTimeout(translating.get(field));
  translating.set(
    field,
    globalThis.setTimeout(() => void guarded(keepTranslations), TRANSLATED),
  );
}

/** Keeps them at once: another screen, or the lock, is next. One that is refused is told, and tried again. */
async function keepTranslations(): Promise<void> {
  for (const [field, timer] of [...translating]) {
    globalThis.clearTimeout(timer);
    const text = field.value;
    try {
      await ask("/thread/translation", translationFields(field));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      say(error.message, true);
      translated(field);
      continue;
    }
    if (field.value === text) translating.delete(field);
    else translated(field);
  }
}

// --- from the start ------------------------------------------------------------------------------------------------------

/** Once at a time: a second Enter would find the token spent, and lock out whoever pressed it. */
async function begin(): Promise<void> {
  if (isUnlocking) return;
  isUnlocking = isOpen = true;
  const passphrase = byId("passphrase", HTMLInputElement);
  const wrong = byId("wrong", HTMLElement);
  const patience = byId("unlocking", HTMLElement);
  wrong.textContent = "";
  patience.hidden = false;
  let problem = "";
  try {
    problem = await unlock(token, passphrase.value);
  } finally {
    isUnlocking = false;
    patience.hidden = true;
  }
  passphrase.value = "";
  if (problem) {
    isOpen = false;
    wrong.textContent = problem;
    passphrase.focus();
    return;
  }
  history.pushState(null, "", "/");
  byId("bar", HTMLElement).hidden = false;
  go("/inbox");
}

// A token that was spent is no secret; one that was not is none for whoever looks at the screen.
history.replaceState(null, "", "/");

document.addEventListener("click", (event) => {
  const from = event.target instanceof Element ? event.target.closest<HTMLElement>("button") : null;
  if (from) pressed(from);
  else if (event.target instanceof Element && !event.target.matches("input")) {
    const row = event.target.closest<HTMLTableRowElement>("tr[data-thread]");
    if (row) rows.lookAt(row);
  }
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || form.method === "dialog") return;
  event.preventDefault();
  if (form.id === "unlock") void guarded(begin);
  else submitted(form);
});
document.addEventListener("input", (event) => {
  if (!said.classList.contains("problem")) say(""); // it lies over what is written
  if (event.target instanceof HTMLTextAreaElement && event.target.dataset["translation"]) translated(event.target);
});
/** Keys of the browser's own: a reload would lock (the secret is in this page's memory only), and what is saved,
 * printed or shown as source would leave words of tips outside of the vault. */
function isBrowsers(event: KeyboardEvent): boolean {
  if (event.key === "F5") return true;
  const place = /^Key([A-Z])$/.exec(event.code)?.[1] ?? event.key; // on a Cyrillic keyboard, too
  return (event.ctrlKey || event.metaKey) && !event.altKey && ["r", "s", "p", "u"].includes(place.toLowerCase());
}

document.addEventListener("keydown", (event) => {
  live();
  if (isBrowsers(event) || (isOpen && press(event))) event.preventDefault();
});
for (const sign of ["pointermove", "wheel", "scroll"] as const) {
  document.addEventListener(sign, live, { passive: true });
}
addEventListener("popstate", () => {
  history.pushState(null, "", "/");
  back();
});
addEventListener("pagehide", () => {
  compose?.close();
  for (const field of translating.keys()) sayLast("/thread/translation", translationFields(field));
  if (isOpen) sayLast("/lock");
});
