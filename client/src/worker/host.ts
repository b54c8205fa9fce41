// What both workers do: they hold the secrets of the page, read its manifests, and judge what is typed.

import { type Code, codeOf, TipboxError } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { toHex, utf8 } from "../formats/base/bytes.js";
import { today } from "../formats/base/days.js";
import type { Manifest } from "../formats/manifest.js";
import { type ListName, languageOf, PINS, WordList } from "../formats/wordlists.js";
import type { Addresses, FromWorker, Organisation, ToWorker } from "../messages.js";
import { Connection } from "../net/http.js";
import { FileError } from "./files.js";
import { isWords, judge } from "./judge.js";
import { readManifests } from "./recipients.js";

/** Bytes that a list has, about. */
const LIST_GUESS = 60_000;

/** The little of a worker's global scope that is used; the DOM's types only know windows. */
interface WorkerScope extends EventTarget {
  readonly postMessage: (message: FromWorker) => void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

export const scope = globalThis as unknown as WorkerScope;
export let manifests: readonly Manifest[] = [];
export let addresses: Addresses = { envelope: "", mailbox: "", lists: "" };

export function tell(news: FromWorker): void {
  scope.postMessage(news);
}

/** How requests behave on this page's line. */
export function connectionOptions(): {
  signal: AbortSignal;
  wake: EventTarget;
  onTrouble: (trouble: Code | null) => void;
} {
  return {
    signal: new AbortController().signal,
    wake: scope,
    onTrouble: (trouble) => tell({ kind: "connection", trouble }),
  };
}

export function organisationOf({ id, name, country, languages }: Manifest): Organisation {
  return { id: toHex(id), name, country, languages };
}

async function start(files: readonly string[], where: Addresses): Promise<void> {
  if (!globalThis.isSecureContext || globalThis.crypto?.subtle === undefined) throw new TipboxError("unsupported");
  addresses = where;
  manifests = await readManifests(files.map(utf8), today());
  tell({ kind: "ready", organisations: manifests.map(organisationOf) });
}

/** Lists of words that were asked for. */
const lists = new Map<ListName, Promise<WordList>>();

/** Fetches a list, once it is needed. */
function list(name: ListName): Promise<WordList> {
  const asked = lists.get(name);
  if (asked !== undefined) return asked;
  const connection = new Connection(null, connectionOptions());
  const url = addresses.lists.replace("{language}", name);
  const read = connection
    .retry(() => connection.request({ method: "GET", url, expected: LIST_GUESS }))
    .then((file) => WordList.read(name, file));
  lists.set(name, read);
  read.catch(() => lists.delete(name)); // another try, when it is asked for again
  return read;
}

/** The lists that what is typed may be in: none for digits, all for words, so that nobody learns which one it is. */
export function listsFor(typed: string): Promise<WordList[]> {
  return Promise.all(isWords(typed) ? Object.keys(PINS).map((name) => list(name as ListName)) : []);
}

/** What is typed quickly is judged together: without a JIT a judgement takes some hundredths of a second. */
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
    tell({ kind: "spelled", words: accessCodes.words(await accessCodes.parse(digits), known) });
  } catch {
    tell({ kind: "spelled", words: null });
  }
}

/** Tells why something ended. */
export function fail(error: unknown): void {
  tell({ kind: "failed", code: codeOf(error), file: error instanceof FileError ? error.index : null });
}

/** Listens to the page; `hear` does what only this worker does, once the manifests are read. */
export function serve(hear: (message: ToWorker) => void): void {
  let started = Promise.resolve();
  scope.onmessage = ({ data }) => {
    switch (data.kind) {
      case "start":
        started = start(data.manifests, data.addresses);
        started.catch(fail);
        break;
      case "spell":
        void spell(data.digits, data.language);
        break;
      case "judge":
        void judgeLatest(data.turn, data.typed, data.digits);
        break;
      default:
        started.then(
          () => hear(data),
          () => undefined,
        ); // what kept it from starting was told
    }
  };
}
