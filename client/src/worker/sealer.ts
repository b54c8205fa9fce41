// The worker that seals and sends. What opens mailboxes is in another one, to keep the download small.

import { TipboxError } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { today } from "../formats/base/days.js";
import type { Order, ToWorker } from "../messages.js";
import { askPrices, Payer } from "../net/payer.js";
import { addresses, fail, manifests, scope, serve, tell } from "./host.js";
import { readManifests } from "./recipients.js";
import { type Purse, send } from "./send.js";

let stop = new AbortController();
/** Called when the source agrees to what the server asks. */
let agreed: () => void = () => undefined;
let purse = emptyPurse();

function emptyPurse(): Purse {
  return {
    payer: new Payer(),
    prices: null,
    agrees: (seconds) =>
      new Promise((resolve) => {
        agreed = resolve;
        tell({ kind: "asked", seconds });
      }),
  };
}

/** Asks what a place costs, and begins to work for that of a text, while the source still writes. */
async function prepare(): Promise<void> {
  const prices = await askPrices(addresses.envelope, new AbortController().signal);
  if (prices === null) return;
  purse.prices = prices;
  purse.payer?.start(prices.quote(prices.letter));
}

async function run(order: Order): Promise<void> {
  stop = new AbortController();
  const known = order.accessCode === null ? null : await accessCodes.parse(order.accessCode);
  const paying = purse;
  purse = { ...emptyPurse(), prices: paying.prices }; // a token is for one upload
  try {
    await send(order, manifests, today(), tell, { signal: stop.signal, wake: scope }, { known, purse: paying });
  } finally {
    paying.payer?.stop(); // of what failed before it was used
    known?.fill(0);
  }
  tell({ kind: "stored" });
}

function hear(message: ToWorker): void {
  if (message.kind === "send") run(message.order).catch(fail);
  else if (message.kind === "agree") agreed();
  else if (message.kind === "stop") stop.abort(new TipboxError("stopped"));
}

serve(readManifests, hear, () => void prepare());
