// Keys: each is written on the button that it presses. In a text field only those with Ctrl or Alt, and Escape, are.

const FIRST = "g";
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
  return [...parts, digit].join("+");
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

/** Presses the button whose key this is; whether there was one. */
export function press(event: KeyboardEvent): boolean {
  if (event.isComposing || document.querySelector("dialog[open]")) return false;
  const isPlain = !(event.ctrlKey || event.metaKey || event.altKey);
  if (isPlain && isTyping(event.target)) {
    if (event.key !== "Escape") return false;
    (event.target as HTMLElement).blur();
    return true;
  }
  let keys = isPlain ? latin(event) : nameOf(event);
  if (!isPlain && /^(?:Control|Alt)\+\P{ASCII}$/u.test(keys)) keys = keys.replace(/\P{ASCII}$/u, latin(event));
  if (pending) keys = `${pending} ${keys}`;
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
