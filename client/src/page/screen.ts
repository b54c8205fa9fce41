// What every page of the script has in common: showing screens, the way out, and forgetting everything on leaving.

import { element, view } from "./views.js";

export const app = document.getElementById("app");
const leave = document.getElementById("leave");

/** Shows another screen; screen readers start at its heading. The first one leaves the focus before "Leave quickly". */
export function show(content: Node, first = false): void {
  app?.replaceChildren(content);
  const heading = app?.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  if (!first) heading?.focus();
  scrollTo(0, 0);
}

/** Calls `wipe` whenever the page is left, by whatever way. */
export function onLeaving(wipe: () => void): void {
  if (leave instanceof HTMLAnchorElement) {
    leave.addEventListener("click", (event) => {
      event.preventDefault();
      wipe();
      location.replace(leave.href);
    });
  }
  if (app === null) return;
  addEventListener("pagehide", wipe);
  // A page that a browser kept alive was wiped when it was left: load it again.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

/** The digits of an access code, group by group. */
export function passphrase(digits: string): DocumentFragment {
  const screen = view("view-passphrase");
  screen.part("digits").append(...digits.split(" ").flatMap((group) => [element("span", group), " "]));
  return screen.content;
}
