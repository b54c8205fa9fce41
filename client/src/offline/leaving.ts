// Leaving a page that lies on a disk: at once, and without asking anything of anybody. The browser's history keeps the
// name of the file; nothing that was written is there any more.

import { isThirdEscape } from "../page/escapes.js";

/** Asks for nothing, and ends what runs here. */
const NOWHERE = "about:blank";
/** Browsers show an address in place of an empty title. */
const BLANK_TITLE = "\u00a0";

let isLeaving = false;

/** Whether nothing may hold up who leaves. */
export function isGone(): boolean {
  return isLeaving;
}

/** Empties the page when its link is pressed, or Escape three times; `wipe` wipes the rest. */
export function offerLeaving(wipe: () => void): void {
  const leave = (): void => {
    isLeaving = true;
    document.body.replaceChildren();
    document.title = BLANK_TITLE;
    document.documentElement.removeAttribute("lang");
    wipe();
    location.replace(NOWHERE);
  };
  addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("#leave") : null;
    if (link === null) return;
    event.preventDefault();
    leave();
  });
  addEventListener(
    "keydown",
    (event) => {
      if (isThirdEscape(event)) leave();
    },
    { capture: true },
  );
  addEventListener("pagehide", wipe);
  // A page that a browser kept alive was wiped when it was left.
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) location.reload();
  });
}
