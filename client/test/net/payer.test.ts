import { describe, expect, it, vi } from "vitest";
import { codeOf, TipboxError } from "../../src/errors.js";
import { type Bytes, toBase64 } from "../../src/formats/base/bytes.js";
import { random } from "../../src/formats/base/primitives.js";
import { PUZZLES, Puzzles, parseProof } from "../../src/formats/toll.js";
import { Payer, type PayerOptions } from "../../src/net/payer.js";
import type { Work } from "../../src/net/prices.js";

const SEED = new Uint8Array(32).map((_, i) => i);

function quote(members: Readonly<Record<string, unknown>> = {}): unknown {
  return { hour: 494_000, seed: toBase64(SEED).replace("=", ""), price: 1, ...members };
}

function payer(options: Partial<PayerOptions> = {}): Payer {
  const made = new Payer(random(32));
  made.bind({ signal: new AbortController().signal, ...options });
  return made;
}

describe("payer", () => {
  it("pays what is asked, says how far it is, and goes on from there when the price rises", async () => {
    const said: (Work | null)[] = [];
    const paying = payer({ onWork: (work) => said.push(work) });
    const proof = parseProof(await paying.pay(quote()));
    const puzzles = await Puzzles.of(SEED, paying.token);

    expect([proof.hour, proof.effort]).toEqual([494_000, 1]);
    expect(await puzzles.hold(proof)).toBe(true);
    expect(said[0]).toMatchObject({ total: PUZZLES });
    expect(said.at(-1)).toBeNull();
    expect(parseProof(await paying.pay(quote({ price: 2 }))).effort).toBe(2);
  });

  it("does not work more than a minute of a phone for a server that may lie", async () => {
    expect(
      await payer()
        .pay(quote({ price: 90 }))
        .catch(codeOf),
    ).toBe("full");
  });

  it.each([
    ["new seeds", (i: number): Bytes => new Uint8Array(32).fill(i)],
    ["no end of one seed", (): Bytes => SEED],
  ])("works three times in an hour for a server that comes with %s", async (_, seed) => {
    const clock = vi.spyOn(performance, "now").mockReturnValue(0);
    const paying = payer();
    const asked = (i: number): Promise<string> =>
      paying.pay(quote({ seed: toBase64(seed(i)).replace("=", "").replace(/\//g, "_").replace(/\+/g, "-") }));
    for (let i = 0; i < 3; i++) parseProof(await asked(i));

    expect(await asked(3).catch(codeOf)).toBe("full");
    clock.mockReturnValue(3_600_001);
    expect(parseProof(await asked(4)).effort).toBe(1);
    clock.mockRestore();
  });

  it("asks the source above a minute of a phone, once for each amount, and waits for what it says", async () => {
    const asked: number[] = [];
    const agrees = async (effort: number): Promise<void> => {
      asked.push(effort);
      if (effort > 90) throw new TipboxError("stopped");
    };
    const said: (Work | null)[] = [];
    const stop = new AbortController();
    const paying = payer({ agrees, signal: stop.signal, onWork: (work) => said.push(work) });
    const working = paying.pay(quote({ price: 90 })).catch(codeOf);
    while (said.length === 0) await new Promise((resolve) => setTimeout(resolve));
    expect(asked).toEqual([90]);
    stop.abort(new TipboxError("stopped"));

    expect(await working).toBe("stopped");
    expect(await paying.pay(quote({ price: 150 })).catch(codeOf)).toBe("stopped");
    expect(asked).toEqual([90, 150]);
  });

  it("stops while the source thinks about it", async () => {
    const stop = new AbortController();
    const paying = payer({ signal: stop.signal, agrees: () => new Promise(() => undefined) });
    const asked = paying.pay(quote({ price: 90 })).catch(codeOf);
    stop.abort(new TipboxError("stopped"));

    expect(await asked).toBe("stopped");
  });

  it("begins before an upload does, and what it found is there when it is asked for", async () => {
    const paying = new Payer(random(32));
    expect(await paying.ahead()).toBeUndefined();
    paying.start(quote());
    const said: (Work | null)[] = [];
    paying.bind({ signal: new AbortController().signal, onWork: (work) => said.push(work) });
    const proof = parseProof((await paying.ahead()) ?? "");

    expect(proof.effort).toBe(1);
    expect(await (await Puzzles.of(SEED, paying.token)).hold(proof)).toBe(true);
    expect(said.at(-1)).toBeNull();
  });

  it("ends what it began before when it begins anew", async () => {
    const calls = vi.spyOn(crypto.subtle, "deriveBits");
    const paying = new Payer(random(32));
    paying.start(quote({ price: 45 }));
    while (calls.mock.calls.length === 0) await new Promise((resolve) => setTimeout(resolve));
    paying.start(quote({ price: 1 }));
    const proof = parseProof((await paying.ahead()) ?? "");
    const after = calls.mock.calls.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    const later = calls.mock.calls.length;
    calls.mockRestore();

    expect(proof.effort).toBe(1);
    expect(await (await Puzzles.of(SEED, paying.token)).hold(proof)).toBe(true);
    expect(later).toBe(after);
  });

  it.each([0, 90, 600])("does not begin by itself for a price of %d", async (price) => {
    const paying = new Payer(random(32));
    paying.start(quote({ price }));

    expect(await paying.ahead()).toBeUndefined();
  });

  it("does not hold up what is sent when it was ended", async () => {
    const paying = new Payer(random(32));
    paying.start(quote({ price: 45 }));
    paying.stop();

    expect(await paying.ahead()).toBeUndefined();
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
    const paying = payer({ signal: stop.signal, onWork: () => stop.abort(new Error("stopped")) });
    await expect(paying.pay(quote({ price: 45 }))).rejects.toThrow("stopped");
  });
});
