// The first script, as small as can be: it has the worker fetched beside the page's script, not behind it, and sees to
// it that a page whose script the line broke is not left without. It also lets people leave, and shows the field for
// their words.
//
// On a slow line what makes the form goes first: the worker is asked for somewhat later, so that its bytes come when
// those of the page's script are through, and the line is never idle.

import { TipboxError } from "../errors.js";
import { begun, onLeaving } from "./first/begun.js";
import { offerField } from "./first/first_field.js";
import "./leave.js";
import { type Line, persist } from "./loading.js";

/** Of the time that has passed: so much longer the worker waits for the page's script. */
const HELD_BACK = 1 / 24;
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

/** Starts the worker, unless the page is there and does so itself. */
function startWorker(address: string): void {
  if (!isSecureContext || begun().worker !== null || begun().isPageThere) return;
  const started = new Worker(address);
  begun().worker = started;
  started.addEventListener("error", () => {
    if (begun().worker === started) begun().worker = null; // the page has another one fetched
  });
}

begun().hash = location.hash;
offerField();
const worker = here?.["worker"];
// By the time that it took to come this far: next to nothing on a good line, half a round trip on a bad one.
if (worker !== undefined) {
  const timer = setTimeout(() => startWorker(worker), performance.now() * HELD_BACK);
  onLeaving(() => clearTimeout(timer));
}
addEventListener("load", () => {
  const page = here?.["page"];
  if (page !== undefined && !begun().isPageThere) void persist(() => fetchPage(page), tell);
});
