import { describe, expect, it } from "vitest";
import { codeOf } from "../../src/errors.js";
import { toBase64 } from "../../src/formats/base/bytes.js";
import { PUZZLES, Puzzles, parseProof } from "../../src/formats/toll.js";
import { Payer, type Work } from "../../src/net/payer.js";

const SEED = new Uint8Array(32).map((_, i) => i);
const TOKEN = new Uint8Array(32);

function quote(members: Readonly<Record<string, unknown>> = {}): unknown {
  return { hour: 494_000, seed: toBase64(SEED).replace("=", ""), price: 1, ...members };
}

function payer(onWork?: (work: Work | null) => void): Payer {
  return new Payer(TOKEN, new AbortController().signal, onWork);
}

describe("payer", () => {
  it("pays the next rung, says how far it is, and goes on from there when the price rises", async () => {
    const said: (Work | null)[] = [];
    const paying = payer((work) => said.push(work));
    const proof = parseProof(await paying.pay(quote()));
    const puzzles = await Puzzles.of(SEED, TOKEN);

    expect([proof.hour, proof.effort]).toEqual([494_000, 2]);
    expect(await puzzles.hold(proof)).toBe(true);
    expect(said[0]).toMatchObject({ total: PUZZLES });
    expect(said.at(-1)).toBeNull();
    expect(parseProof(await paying.pay(quote({ price: 2 }))).effort).toBe(3);
  });

  it("does not work more than a minute of a phone for a server that may lie", async () => {
    expect(
      await payer()
        .pay(quote({ price: 90 }))
        .catch(codeOf),
    ).toBe("full");
  });

  it.each([
    { price: 0 },
    { price: 4 },
    { price: "1" },
    { hour: -1 },
    { hour: 0.5 },
    { hour: 1e10 },
    { seed: "" },
    { seed: 3 },
    { seed: "!".repeat(43) },
  ])("refuses a quote that makes no sense: %o", async (members) => {
    expect(await payer().pay(quote(members)).catch(codeOf)).toBe("network");
  });

  it("stops", async () => {
    const stop = new AbortController();
    const paying = new Payer(TOKEN, stop.signal, () => stop.abort(new Error("stopped"))).pay(quote({ price: 45 }));
    await expect(paying).rejects.toThrow("stopped");
  });
});
