// Escape, three times: the way out that needs no eye on the page.

/** Escape, so often, each press within so many milliseconds of the one before it. */
const PRESSES = 3;
const PRESS_WITHIN = 2000;
let presses = 0;
let pressed = 0;

/** Whether Escape was pressed often enough; hears every key that is pressed. */
export function isThirdEscape(event: KeyboardEvent): boolean {
  if (event.key !== "Escape") presses = 0;
  if (event.key !== "Escape" || event.repeat) return false;
  presses = event.timeStamp - pressed < PRESS_WITHIN ? presses + 1 : 1;
  pressed = event.timeStamp;
  return presses >= PRESSES;
}
