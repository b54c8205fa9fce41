// Screens are <template> elements of the page; their moving pieces are marked data-part.

/** A copy of a screen, and its pieces by name. */
export interface View {
  readonly content: DocumentFragment;
  part(name: string): HTMLElement;
  has(name: string): boolean;
}

/** Copies the `<template>` with this id. Throws when page and script do not fit together. */
export function view(id: string): View {
  const template = document.getElementById(id);
  if (!(template instanceof HTMLTemplateElement)) throw new Error(`the page lacks #${id}`);
  const content = document.importNode(template.content, true);
  const parts = new Map<string, HTMLElement>();
  for (const element of content.querySelectorAll<HTMLElement>("[data-part]"))
    parts.set(element.dataset["part"] ?? "", element);
  return {
    content,
    has: (name) => parts.has(name),
    part(name) {
      const found = parts.get(name);
      if (found === undefined) throw new Error(`#${id} lacks ${name}`);
      return found;
    },
  };
}

/** A new element with text. */
export function element<K extends keyof HTMLElementTagNameMap>(tag: K, text = ""): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/** A field that no form sends, no server can name, and no browser fills in or keeps. */
export function field<K extends "input" | "textarea">(tag: K): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.setAttribute("autocomplete", "off");
  made.setAttribute("autocapitalize", "off");
  made.setAttribute("autocorrect", "off");
  made.spellcheck = false;
  return made;
}
