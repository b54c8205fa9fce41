import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { mailboxAddress, pairKey, rootOf } from "../../src/formats/access_code.js";
import { toHex } from "../../src/formats/base/bytes.js";
import { random } from "../../src/formats/base/primitives.js";
import type { FromWorker } from "../../src/messages.js";
import { hearReading, openMailbox } from "../../src/worker/reader.js";
import { deposit, Postbox, reply } from "../support/postbox.js";
import { contentOf } from "../support/tools.js";

const KIBHR = new Uint8Array(16).fill(2);
const ACCESS_CODE = random(16);
let postbox: Postbox;
let told: FromWorker[];

beforeEach(async () => {
  postbox = await Postbox.start();
  told = [];
});
afterEach(() => postbox.stop());

/** What was told of this kind, once it was. */
async function heard<K extends FromWorker["kind"]>(kind: K): Promise<FromWorker & { kind: K }> {
  const isIt = (news: FromWorker): news is FromWorker & { kind: K } => news.kind === kind;
  return vi.waitFor(
    () => {
      const found = told.find(isIt);
      if (found === undefined) throw new Error(`nothing of ${kind}`);
      return found;
    },
    { timeout: 5000 },
  );
}

describe("deleting", () => {
  it("does not wait for a file that does not come", async () => {
    const root = await rootOf(ACCESS_CODE);
    const sealed = await reply(await pairKey(root, KIBHR), "Спасибо", [{ name: "a.bin", content: contentOf(9) }]);
    postbox.deposits = [await deposit(await mailboxAddress(root, KIBHR), sealed)];
    openMailbox(ACCESS_CODE, {
      addresses: { envelope: "", mailbox: postbox.api, lists: "" },
      listed: [],
      named: [toHex(KIBHR)],
      connection: { signal: new AbortController().signal },
      tell: (news) => told.push(news),
    });
    const [answer] = (await heard("opened")).replies;
    postbox.stalls = "/piece";
    for (const file of [0, 0]) hearReading({ kind: "fetch", reply: answer?.id ?? "", file });
    await vi.waitFor(() => expect(postbox.asked).toContain("/piece"));
    hearReading({ kind: "delete" });

    await heard("deleted");
    expect(postbox.deposits).toEqual([]);
    expect(postbox.asked).toEqual(["", "/piece", "/delete"]);
    expect(told.filter(({ kind }) => kind === "fetched")).toEqual([]);
  });
});
