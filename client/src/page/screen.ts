// Screens: copies of the page's <template> elements, whose changing parts are marked data-part. One is shown at a time.

import { demand, TipboxError } from "../errors.js";
import { kinds } from "./features.js";

/** Characters from which on a text may be broken anywhere. */
const LONG_TEXT = 20_000;

export const app = document.getElementById("app");

/** Shows another screen; screen readers start at its heading. The first one leaves the focus before "Leave quickly". */
export function show(content: Node, first = false): void {
  const place = document.getElementById("app"); // another one when the offline page changes its language
  place?.replaceChildren(content);
  const heading = place?.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  if (!first) heading?.focus();
  scrollTo(0, 0);
}

/** Gives the focus to what takes the place of `from`, which goes next, if it is in there: else it would fall away. */
export function passFocus(from: Element, to: HTMLElement): void {
  if (!from.contains(document.activeElement)) return;
  to.setAttribute("tabindex", String(to.tabIndex)); // -1 for what Tab does not stop at
  to.focus();
}

/** The digits of an access code, group by group. */
export function accessCode(digits: string): DocumentFragment {
  const screen = view("view-access-code");
  screen.part("digits").append(...digits.split(" ").flatMap((group) => [element("span", group), " "]));
  return screen.content;
}

/** A copy of a screen, and its pieces by name. */
export interface View {
  readonly content: DocumentFragment;
  /** Throws when there is none of this name. */
  readonly part: (name: string) => HTMLElement;
  readonly has: (name: string) => boolean;
}

/** Takes away what is for other devices and browsers. */
export function suit(content: ParentNode): void {
  const here = kinds(navigator, location);
  for (const one of content.querySelectorAll<HTMLElement>("[data-on]")) {
    one.hidden = false;
    if (!here.includes(one.dataset["on"] ?? "")) one.remove();
  }
}

/** Copies the `<template>` with this id, without what is for other devices. Throws when page and script do not fit. */
export function copyOf(id: string): DocumentFragment {
  const template = document.querySelector<HTMLTemplateElement>(`template#${id}`);
  if (template === null) throw new TipboxError("internal");
  const content = document.importNode(template.content, true);
  suit(content);
  return content;
}

/** A screen: a copy of the `<template>` with this id, or what was made of one. */
export function view(id: string, content = copyOf(id)): View {
  const parts = new Map<string, HTMLElement>();
  for (const part of content.querySelectorAll<HTMLElement>("[data-part]")) parts.set(part.dataset["part"] ?? "", part);
  return {
    content,
    has: (name) => parts.has(name),
    part(name) {
      const found = parts.get(name);
      demand(found !== undefined, "internal");
      return found;
    },
  };
}

/** A new element with text. */
export function element<K extends keyof HTMLElementTagNameMap>(tag: K, text = ""): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = text;
  if (tag === "bdi") made.translate = false; // a name: of a file it is a source's own
  return made;
}

/** A field that no form sends, no server can name, and no browser fills in, keeps, or has translated elsewhere. */
export function field<K extends "input" | "textarea">(tag: K): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.setAttribute("autocomplete", "off");
  made.setAttribute("autocapitalize", "off");
  made.setAttribute("autocorrect", "off");
  made.setAttribute("writingsuggestions", "false");
  made.spellcheck = false;
  made.translate = false;
  return made;
}

/**
 * Lets a long text break anywhere: laying it out without spaces takes browsers a time that grows with the square of its
 * length.
 */
export function breakLongText(box: HTMLElement, text: string): void {
  box.classList.toggle("long", text.length > LONG_TEXT);
}
