import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Awake } from "../../src/page/sending/waiting.js";

/** Locks that are held on the screen. */
const held = new Set<unknown>();

class Screen extends EventTarget {
  visibilityState = "visible";
}

/** Time passes, and what was asked for is there. */
const pass = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);

beforeEach(() => {
  held.clear();
  vi.useFakeTimers();
  vi.stubGlobal("document", new Screen());
  const request = async (): Promise<{ release: () => Promise<void> }> => {
    const lock = {
      release: async () => {
        held.delete(lock);
      },
    };
    held.add(lock);
    return lock;
  };
  vi.stubGlobal("navigator", { wakeLock: { request } });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the screen", () => {
  it("stays on while something is sent, and no longer", async () => {
    const awake = new Awake();
    await pass(100_000);
    expect(held.size).toBe(1);
    for (let more = 0; more < 5; more++) {
      awake.moved();
      await pass(100_000);
      expect(held.size).toBe(1);
    }
    awake.release();
    await pass(0);
    expect(held.size).toBe(0);
    document.dispatchEvent(new Event("visibilitychange"));
    await pass(0);
    expect(held.size).toBe(0);
  });

  it("shows no code to whoever finds a phone that sends nothing: it goes off, until something moves again", async () => {
    const awake = new Awake();
    await pass(300_000);
    expect(held.size).toBe(0);
    document.dispatchEvent(new Event("visibilitychange"));
    await pass(0);
    expect(held.size).toBe(0);
    awake.moved();
    await pass(0);
    expect(held.size).toBe(1);
  });

  it("is asked for once more when the page is seen again, for browsers let it go before", async () => {
    const awake = new Awake();
    await pass(0);
    held.clear();
    document.dispatchEvent(new Event("visibilitychange"));
    await pass(0);
    expect(held.size).toBe(1);
    awake.release();
  });
});
