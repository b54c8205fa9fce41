// The first script, as small as can be: it has the worker fetched beside the page's script, not behind it, and sees to
// it that a page whose script the line broke is not left without. It also lets people leave, and shows the field for
// their words.
//
// On a slow line what makes the form goes first: the worker is asked for somewhat later, so that its bytes come when
// those of the page's script are through, and the line is never idle.

import { begun, noteJump, onLeaving } from "./first/begun.js";
import { isWhole, offerField } from "./first/first_field.js";
import "./leave.js";
import { isAnswered } from "../net/leaving.js";
import { type Line, needScript } from "./loading.js";

/** Of the time that has passed: so much longer the worker waits for the page's script. */
const HELD_BACK = 1 / 24;
/** Milliseconds without another element after which a document of which only half has come is loaded again. */
const STALLED = 30_000;
const here = document.currentScript?.dataset;

/** Says how it stands, in the page's words: its script, which says so otherwise, is what is missing. */
function tell(line: Line | null): void {
  const words = document.getElementById("words")?.dataset;
  const box = document.getElementById("loading");
  if (words === undefined || box === null || begun().isPageThere) return;
  box.textContent = line === null ? "" : ((line.again === null ? words["lineBroken"] : words["lineGone"]) ?? "");
  if (line?.again) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words["tryAgain"] ?? "";
    button.addEventListener("click", line.again);
    box.append(button);
  }
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

let elements = 0;
/**
 * Loads a document again that stalls half way: it has no words to say so with, and browsers do not tell. Not before the
 * line answers, for half of it is better than what a browser says of a broken line.
 */
async function watchDocument(): Promise<void> {
  const { length } = document.getElementsByTagName("*");
  const isStalled = !isWhole() && length === elements;
  elements = length;
  // The other half may come before that answer does: then there is a field, and something may be written in it.
  if (isStalled && (await isAnswered(location.href, "HEAD")) && !isWhole()) location.reload();
}

noteJump();
offerField();
const worker = here?.["worker"];
// By the time that it took to come this far: next to nothing on a good line, half a round trip on a bad one.
if (worker !== undefined) {
  const timer = setTimeout(() => startWorker(worker), performance.now() * HELD_BACK);
  onLeaving(() => clearTimeout(timer));
}
const page = here?.["page"];
if (page !== undefined) {
  void needScript(page, () => begun().isPageThere, tell);
  addEventListener("online", watchDocument);
  const watch = setInterval(watchDocument, STALLED);
  onLeaving(() => clearInterval(watch));
}
