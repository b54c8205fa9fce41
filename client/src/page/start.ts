// The first script, as small as can be: it has the worker fetched beside the page's script, not behind it, and sees to
// it that a page whose script the line broke is not left without. It also lets people leave.

import { TipboxError } from "../errors.js";
import { begun } from "./begun.js";
import "./leave.js";
import { type Line, persist } from "./loading.js";

const here = document.currentScript?.dataset;

/** Says how it stands, in the page's words: its script, which says so otherwise, is what is missing. */
function tell(line: Line | null): void {
  const words = document.getElementById("words")?.dataset;
  const box = document.getElementById("loading");
  if (words === undefined || box === null) return;
  box.textContent = line === null ? "" : ((line.again === null ? words["lineBroken"] : words["lineGone"]) ?? "");
  if (line?.again) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words["tryAgain"] ?? "";
    button.addEventListener("click", line.again);
    box.append(button);
  }
}

function fetchPage(address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const end = (): void => (begun().isPageThere ? resolve() : reject(new TipboxError("network")));
    script.addEventListener("load", end);
    script.addEventListener("error", end);
    script.src = address;
    document.head.append(script);
  });
}

const worker = here?.["worker"];
if (worker !== undefined && isSecureContext && begun().worker === null && !begun().isPageThere) {
  const started = new Worker(worker);
  begun().worker = started;
  started.addEventListener("error", () => {
    if (begun().worker === started) begun().worker = null; // the page has another one fetched
  });
}
addEventListener("load", () => {
  const page = here?.["page"];
  if (page !== undefined && !begun().isPageThere) void persist(() => fetchPage(page), tell);
});
