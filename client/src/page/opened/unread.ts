// What came from the server cannot be used.

import type { Code } from "../../errors.js";
import { type View, view } from "../screen.js";

/** The screen that says so; `isInDoubt`: when answers were to be deleted, which may have been. */
export function unread(code: Code, isInDoubt: boolean): View {
  const screen = view("view-unread");
  screen.part("code").textContent = code;
  screen.part("untouched").hidden = isInDoubt;
  screen.part("doubt").hidden = !isInDoubt;
  return screen;
}
