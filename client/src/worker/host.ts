// What the worker's halves share, the one that seals and the one that reads: what the page and the server said, judging
// what is typed, and talking to the page.

import { type Code, codeOf, demand } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { toHex, utf8 } from "../formats/base/bytes.js";
import { today } from "../formats/base/days.js";
import type { Manifest } from "../formats/manifest.js";
import { type ListName, languageOf, PINS, WordList } from "../formats/wordlists.js";
import type { Addresses, FromWorker, Organisation, ToWorker } from "../messages.js";
import { Connection } from "../net/http.js";
import { type Now, readNow } from "../net/now.js";
import { FileError } from "./files.js";
import { isWords, judge } from "./judge.js";
import { isValid } from "./names.js";
import { readNotices } from "./notices.js";
import { readManifests } from "./recipients.js";

/** What is used of a worker's global scope; the DOM's types describe windows only. */
interface WorkerScope extends EventTarget {
  readonly postMessage: (message: FromWorker) => void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

export const scope = globalThis as unknown as WorkerScope;
/** Those that can be sealed to. */
export let manifests: readonly Manifest[] = [];
/** The organisations of the page. */
export let listed: readonly Organisation[] = [];
/** What the server said at the start. */
export let now: Now = { manifests: [], named: [], notices: [], toll: null };
export let addresses: Addresses = { envelope: "", mailbox: "", lists: "" };

export function tell(news: FromWorker): void {
  scope.postMessage(news);
}

/** Options of requests that are never stopped and report trouble to the page. */
export function connectionOptions(): {
  signal: AbortSignal;
  wake: EventTarget;
  onTrouble: (trouble: Code | null, pause?: number) => void;
} {
  return {
    signal: new AbortController().signal,
    wake: scope,
    onTrouble: (trouble) => tell({ kind: "reading", trouble }),
  };
}

/** Reads what the server said, and finds out to whom this browser can seal today; reading answers needs nobody. */
async function hearServer(text: string, language: string): Promise<void> {
  let closed: Code | null = null;
  try {
    demand(globalThis.isSecureContext && globalThis.crypto?.subtle !== undefined, "unsupported");
    now = readNow(text);
    manifests = await readManifests(now.manifests.map(utf8), listed, today());
  } catch (error) {
    closed = codeOf(error);
  }
  const valid = new Set(manifests.filter((one) => isValid(one, today())).map(({ id }) => toHex(id)));
  tell({ kind: "ready", organisations: listed.filter(({ id }) => valid.has(id)), closed });
  const notices = await readNotices(now.notices, manifests, language, today());
  if (notices.length > 0) tell({ kind: "notices", notices });
}

/** Lists of words, each fetched once. */
const lists = new Map<ListName, Promise<WordList>>();

/** A list of words, fetched when it is first needed. */
function list(name: ListName): Promise<WordList> {
  const asked = lists.get(name);
  if (asked !== undefined) return asked;
  const connection = new Connection(null, connectionOptions());
  const url = addresses.lists.replace("{language}", name);
  const read = connection
    .retry(() => connection.request({ method: "GET", url }))
    .then((file) => WordList.read(name, file));
  lists.set(name, read);
  read.catch(() => lists.delete(name)); // so that it is fetched once more when it is needed again
  return read;
}

/** The lists that typed words may be in: always all of them, so that requests do not show the source's language. */
export function listsFor(typed: string): Promise<WordList[]> {
  return Promise.all(isWords(typed) ? Object.keys(PINS).map((name) => list(name as ListName)) : []);
}

/** Milliseconds without a keystroke before judging: without a JIT (Tor Browser's Safer level) that is slow. */
const TYPING_PAUSE = 50;
let newest = 0;

async function judgeLatest(turn: number, typed: string, digits: string | null): Promise<void> {
  newest = turn;
  await new Promise((resolve) => setTimeout(resolve, TYPING_PAUSE));
  if (turn !== newest) return;
  const said = { unit: "words", count: 0, all: 0, at: null } as const;
  if (isWords(typed) && lists.size < Object.keys(PINS).length) {
    tell({ kind: "judged", turn, judgement: { ...said, state: "loading" } });
  }
  try {
    const expected = digits === null ? null : await accessCodes.parse(digits);
    tell({ kind: "judged", turn, judgement: await judge(typed, await listsFor(typed), expected) });
  } catch {
    tell({ kind: "judged", turn, judgement: { ...said, state: "unlisted" } });
  }
}

async function spell(digits: string, language: string): Promise<void> {
  try {
    const known = await list(languageOf(language) ?? "en");
    const words = accessCodes.words(await accessCodes.parse(digits), known);
    tell({ kind: "spelled", spelled: { words, language: known.name } });
  } catch {
    tell({ kind: "spelled", spelled: null });
  }
}

/** Tells the page why sending failed. */
export function fail(error: unknown): void {
  tell({ kind: "failed", code: codeOf(error), file: error instanceof FileError ? error.index : null });
}

/** Listens to the page. `hear` gets the messages of sending and of reading, once what the server said is read. */
export function serve(hear: (message: ToWorker) => void): void {
  let heard: () => void = () => undefined;
  const told = new Promise<void>((resolve) => {
    heard = resolve;
  });
  scope.onmessage = ({ data }) => {
    switch (data.kind) {
      case "start":
        ({ addresses, listed } = data);
        tell({ kind: "here" });
        break;
      case "told":
        void hearServer(data.text, data.language).then(heard);
        break;
      case "retry":
        scope.dispatchEvent(new Event("online")); // as when the device finds a network again
        break;
      case "spell":
        void spell(data.digits, data.language);
        break;
      case "judge":
        void judgeLatest(data.turn, data.typed, data.digits);
        break;
      default:
        void told.then(() => hear(data));
    }
  };
}
