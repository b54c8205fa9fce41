// The worker that seals and sends. What opens mailboxes is in another one, to keep the download small.

import { TipboxError } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { today } from "../formats/base/days.js";
import type { Order, ToWorker } from "../messages.js";
import { fail, manifests, scope, serve, tell } from "./host.js";
import { readManifests } from "./recipients.js";
import { send } from "./send.js";

let stop = new AbortController();

async function run(order: Order): Promise<void> {
  stop = new AbortController();
  const known = order.accessCode === null ? null : await accessCodes.parse(order.accessCode);
  await send(order, manifests, today(), tell, { signal: stop.signal, wake: scope }, known);
  known?.fill(0);
  tell({ kind: "stored" });
}

function hear(message: ToWorker): void {
  if (message.kind === "send") run(message.order).catch(fail);
  else if (message.kind === "stop") stop.abort(new TipboxError("stopped"));
}

serve(readManifests, hear);
