// The list of organisations on the start screen, and up to which day each has collected. The page is the same bytes on
// any day, so this is asked for; who has no scripts reads who they are, and no day.

import { type Collected, collectedOf } from "../net/told.js";
import { element } from "./screen.js";
import type { Texts } from "./texts.js";

function sentence(texts: Texts, collected: Collected, id: string): string {
  if (!Object.hasOwn(collected, id)) return texts.get("takesNothing");
  try {
    const day = Date.parse(`${collected[id]}T00:00:00Z`) / 86_400_000;
    return texts.get("collected", { day: texts.day(day) });
  } catch {
    return ""; // no day yet, or none: it cannot be written
  }
}

/** Shows it beside the organisations that the page lists; names from elsewhere are none. */
export function showCollected(texts: Texts, list: Element, told: string): void {
  const collected = collectedOf(told);
  if (collected === null) return;
  for (const card of list.querySelectorAll<HTMLElement>("[data-id]")) {
    const line = element("span", sentence(texts, collected, card.dataset["id"] ?? ""));
    line.className = "quiet told";
    card.querySelector(".told")?.remove(); // of before
    if (line.textContent !== "") (card.querySelector("input + span") ?? card).append(line);
  }
}
