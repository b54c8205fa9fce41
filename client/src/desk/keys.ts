// Keys: each is written on the button that it presses. In a text field only those with Ctrl or Alt, and Escape, are.

const FIRST = "g";
/** It locks, whatever is shown. */
const LOCK = "Control+l";
const WAIT = 1500;

let pending = "";
let timer: ReturnType<typeof setTimeout> | undefined;

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLTextAreaElement ||
    (target instanceof HTMLInputElement && target.type !== "checkbox") ||
    target instanceof HTMLSelectElement
  );
}

function nameOf(event: KeyboardEvent): string {
  const parts = [event.ctrlKey || event.metaKey ? "Control" : "", event.altKey ? "Alt" : ""].filter(Boolean);
  // With Alt some layouts give another character for a digit: its place counts.
  const digit = event.altKey && /^Digit[0-9]$/.test(event.code) ? event.code.slice(5) : event.key;
  // With Ctrl a letter is the same one, whatever Caps Lock says: it must not keep the desk from being locked.
  return [...parts, event.ctrlKey && digit.length === 1 ? digit.toLowerCase() : digit].join("+");
}

function button(keys: string): HTMLElement | null {
  const all = document.querySelectorAll<HTMLButtonElement>(`[data-keys="${CSS.escape(keys)}"]`);
  return [...all].find((one) => !one.disabled && one.offsetParent !== null) ?? null;
}

/** Layouts of Cyrillic keyboards: what is written on a Latin one at the same place counts as well. */
function latin(event: KeyboardEvent): string {
  if (/^[\x20-\x7e]$/.test(event.key) || event.key.length > 1) return event.key;
  const place = /^Key([A-Z])$/.exec(event.code)?.[1];
  if (!place) return event.key;
  return event.shiftKey ? place : place.toLowerCase();
}

/** Keys that are held and the one that is pressed, by its Latin place. */
function chord(event: KeyboardEvent): string {
  const keys = nameOf(event);
  return /^(?:Control|Alt)\+\P{ASCII}$/u.test(keys) ? keys.replace(/\P{ASCII}$/u, latin(event)) : keys;
}

/** Presses the button whose key this is; whether there was one. */
export function press(event: KeyboardEvent): boolean {
  if (event.isComposing) return false;
  const isPlain = !(event.ctrlKey || event.metaKey || event.altKey);
  if (document.querySelector("dialog[open]") && chord(event) !== LOCK) return false;
  if (isPlain && isTyping(event.target)) {
    if (event.key !== "Escape") return false;
    (event.target as HTMLElement).blur();
    return true;
  }
  let keys = isPlain ? latin(event) : chord(event);
  if (pending && isPlain) keys = `${pending} ${keys}`;
  pending = "";
  globalThis.clearTimeout(timer);
  if (keys === FIRST) {
    pending = FIRST;
    timer = globalThis.setTimeout(() => {
      pending = "";
    }, WAIT);
    return true;
  }
  if (keys === "/") {
    const field = document.querySelector<HTMLInputElement>("#screen input[type=search]");
    field?.focus();
    field?.select();
    return field !== null;
  }
  const found = button(keys === "Enter" && document.activeElement?.matches("tr") ? "o" : keys);
  // A key that is held down goes on from row to row, and does nothing else twice.
  if (event.repeat && found && !["next", "previous"].includes(found.dataset["do"] ?? "")) return true;
  found?.click();
  return found !== null;
}
