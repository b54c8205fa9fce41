// The half of the worker that seals and sends.

import { TipboxError } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import type { Bytes } from "../formats/base/bytes.js";
import { today } from "../formats/base/days.js";
import { random } from "../formats/base/primitives.js";
import type { FromWorker, Order, ToWorker } from "../messages.js";
import type { ConnectionOptions } from "../net/http.js";
import type * as toll from "../net/payer.js";
import { pricesOf } from "../net/prices.js";
import { fail, manifests, now, scope, tell } from "./host.js";
import { late } from "./late.js";
import { giveUp, loadContinuing } from "./later/going_on.js";
import { type Placing, type Purse, send } from "./send.js";

const TOKEN_SIZE = 32;
let stop = new AbortController();
/** Called when the source agrees to what the server asks. */
let agreed: () => void = () => undefined;
let purse = emptyPurse();
/** Whether prices were noted: once, however often the form is shown. */
let isPrepared = false;

async function loadPayer(options: ConnectionOptions): Promise<typeof toll.Payer> {
  return (await late<typeof toll>("toll.js", options)).Payer;
}

function emptyPurse(): Purse {
  return {
    payer: null,
    prices: null,
    loadPayer,
    agrees: (seconds) =>
      new Promise((resolve) => {
        agreed = resolve;
        tell({ kind: "asked", seconds });
      }),
  };
}

/** Notes what a place costs, and begins to work for that of a text, while the source still writes. */
async function prepare(): Promise<void> {
  if (isPrepared) return;
  isPrepared = true;
  const prices = pricesOf(now.toll);
  purse.prices = prices;
  if (!prices?.letter) return;
  const payer = new (await loadPayer({ signal: stop.signal, wake: scope }))(random(TOKEN_SIZE));
  payer.start({ ...prices, price: prices.letter });
  purse.payer = payer;
}

async function run(order: Order): Promise<void> {
  stop = new AbortController();
  const known = order.accessCode === null ? null : await accessCodes.parse(order.accessCode);
  const paying = purse;
  purse = { ...emptyPurse(), prices: paying.prices }; // a token is for one upload
  try {
    const connection = { signal: stop.signal, wake: scope };
    const onTrouble: ConnectionOptions["onTrouble"] = (trouble, pause) =>
      tell({ kind: "connection", trouble, pause: pause ?? null });
    const placingOf = async (root: Bytes): Promise<Placing> =>
      (await loadContinuing({ ...connection, onTrouble })).placingOf(root);
    const told = (news: FromWorker): void => {
      tell(news);
      if (news.kind === "continuable" && order.replaces !== null) giveUp(order.replaces);
    };
    const outcome = await send(order, manifests, today(), told, connection, {
      known,
      purse: paying,
      placing: order.mayContinue ? placingOf : null,
    });
    tell({ kind: "stored", ...outcome });
  } finally {
    paying.payer?.stop(); // of what failed before it was used
    known?.fill(0);
  }
}

/** Does what the page asks of a message. */
export function hearSealing(message: ToWorker): void {
  if (message.kind === "write")
    prepare().catch(() => undefined); // the server asks for it
  else if (message.kind === "send") run(message.order).catch(fail);
  else if (message.kind === "agree") agreed();
  else if (message.kind === "stop") stop.abort(new TipboxError("stopped"));
}
