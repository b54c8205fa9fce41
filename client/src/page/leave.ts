// Leaving: at once, from whatever is shown. The page is empty before anything is asked of the network, since on a bad
// line the next page takes seconds; and where the line is dead there is no next page, so the empty one stays.
//
// The way through this site is one entry of the history, so that Back does not return to it. This is part of the first
// script: whoever must go does not wait for the rest.

import { isAnswered } from "../net/leaving.js";
import { isThirdEscape } from "./escapes.js";
import { begun, depth } from "./first/begun.js";

/** Browsers show an address in place of an empty title. */
const BLANK_TITLE = "\u00a0";
/** Asks for nothing, and ends what runs here. */
const NOWHERE = "about:blank";

let isLeaving = false;
/** Is called when the history has gone back. */
let onGone: (() => void) | null = null;

function empty(): void {
  document.head.replaceChildren();
  document.body.replaceChildren();
  document.title = BLANK_TITLE;
  document.documentElement.removeAttribute("lang");
}

/** Resolves when the history has gone back so many entries. */
function goBack(entries: number): Promise<void> {
  return new Promise((done) => {
    onGone = () => setTimeout(done); // Firefox is there only after the event
    history.go(-entries);
  });
}

/** Has another page take the place of this one, and of what lies on top of its entry. */
async function follow({ href, pathname }: HTMLAnchorElement): Promise<void> {
  const above = Math.max(depth(), begun().jump ?? 0);
  if (above > 0 && pathname !== location.pathname) await goBack(above);
  location.replace(href);
}

async function go(neutral: string): Promise<void> {
  const jump = begun().jump ?? 0;
  let above = Math.max(depth(), jump);
  // No address and no entry tells what was here, also where the line is dead.
  history.replaceState(null, "", neutral);
  if (jump < 0) {
    // Forward would lead to the form: this takes its place.
    history.pushState(null, "", neutral);
    above++;
  }
  if (above > 0) {
    await goBack(above);
    history.replaceState(null, "", neutral);
  }
  // Without an answer the empty page stays: Back, pressed meanwhile, ends the request too, and must not be overtaken.
  if (await isAnswered(neutral)) location.replace(NOWHERE);
}

function leaveNow(neutral: string): void {
  if (isLeaving) return;
  isLeaving = true;
  // What is shown goes first: nothing that fails after it brings it back.
  empty();
  for (const wipe of begun().wipes) wipe();
  stop(); // the line is free for the one request
  void go(neutral);
}

/** A plain click on a link of this site, which takes the place of this page in the history. */
function followed(event: MouseEvent): HTMLAnchorElement | null {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (link === null || link.origin !== location.origin || link.hasAttribute("download") || link.target !== "")
    return null;
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  const isOfSite = /^[/#]/.test(link.getAttribute("href") ?? "");
  return isPlain && isOfSite && !event.defaultPrevented ? link : null;
}

/** The link, which may not be there yet when this runs. */
function leaveLink(): HTMLAnchorElement | null {
  const link = document.getElementById("leave");
  return link instanceof HTMLAnchorElement ? link : null;
}

addEventListener("click", (event) => {
  const link = followed(event);
  if (link === null) return;
  event.preventDefault();
  if (link === leaveLink()) leaveNow(link.href);
  else void follow(link);
});
addEventListener(
  "keydown",
  (event) => {
    const link = leaveLink();
    if (isThirdEscape(event) && link !== null) leaveNow(link.href);
  },
  { capture: true },
);
function hush(event: Event): void {
  if (event.type === "popstate") onGone?.();
  if (isLeaving) event.stopImmediatePropagation();
}
// No question holds up who leaves, and no screen answers.
addEventListener("beforeunload", hush, { capture: true });
addEventListener("popstate", hush, { capture: true });
// A page that a browser kept alive was wiped when it was left: load it again.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
