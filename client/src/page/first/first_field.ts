// The field for the words: on a slow line the first script shows it, seconds before the page's own has come, which makes
// the rest of the form around it. It never stands where the browser cannot seal.

import { canSeal } from "../features.js";
import { copyOf, field, show } from "../screen.js";
import { begun, type FirstField, keepJump, onLeaving } from "./begun.js";
import { isToWrite } from "./door.js";

/** The form, not shown yet; `isBack` when it writes back. */
export function beginForm(isBack: boolean): FirstField {
  const rest = copyOf("view-form");
  for (const one of rest.querySelectorAll<HTMLElement>("[data-when]"))
    if (one.dataset["when"] !== (isBack ? "back" : "first")) one.remove();
  const message = field("textarea");
  message.rows = 10;
  message.dir = "auto";
  message.setAttribute("aria-labelledby", "message-title");
  message.setAttribute("aria-describedby", "message-hint");
  const root = document.createElement("div");
  const place = rest.querySelector("[data-part=message]");
  place?.append(message);
  while (place?.parentNode === rest && rest.firstChild !== null) root.append(rest.firstChild);
  return { root, message, rest };
}

/** Whether what stands last in the document is there: half of it has no form to put around the field. */
export function isWhole(): boolean {
  return document.getElementById("words") !== null;
}

/** Shows the field where its door was opened before the page's script came; `first` when no link was pressed. */
async function showField(first: boolean): Promise<void> {
  const isWanted = (): boolean => isToWrite(location) && !begun().isPageThere && begun().start === null && isWhole();
  if (!(isWanted() && (await canSeal()) && isWanted())) return;
  const main = document.getElementById("app");
  if (main === null) return;
  const form = begun().form ?? beginForm(false); // words that Back has led away from stay
  const { root, message } = form;
  const start = document.createDocumentFragment();
  start.append(...main.childNodes);
  Object.assign(begun(), { form, start });
  show(root, first);
  const loading = document.getElementById("loading");
  if (loading?.textContent === "") loading.textContent = document.getElementById("words")?.dataset["preparing"] ?? "";
  // A link to another language would lose what is written.
  root.addEventListener("input", () => {
    document.getElementById("languages")?.toggleAttribute("hidden", message.value !== "");
  });
  onLeaving(() => {
    message.value = "";
    root.replaceChildren();
    Object.assign(begun(), { form: null, start: null });
  });
}

/** Shows the field as soon as the document is there and the field is asked for, unless the page's script does so. */
export function offerField(): void {
  const whenThere = (): void => {
    if (document.readyState !== "loading") void showField(true);
  };
  whenThere();
  document.addEventListener("readystatechange", whenThere);
  addEventListener("hashchange", () => {
    if (location.hash !== "") {
      keepJump();
      return void showField(false);
    }
    begun().jump = -1; // its entry is left: nothing has to go back from it any more
    const { isPageThere, start } = begun();
    if (isPageThere || start === null) return;
    begun().start = null;
    show(start);
  });
  addEventListener("beforeunload", (event) => {
    if (begun().form?.message.value) event.preventDefault();
  });
}
