// What a browser does with its folder for a page is seen in browsers (tests/browser/offline); here is what it refuses.

import { expect, test as it, vi } from "vitest";
import { Shelf } from "../../src/offline/shelf.js";

function bytes(...values: number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values);
}

/** A folder that has no room: each file in it is made, and takes nothing. */
function full(removed: string[]): unknown {
  const createWritable = async (): Promise<never> => {
    throw new DOMException("no room", "QuotaExceededError");
  };
  return {
    values: () => [],
    getFileHandle: async () => ({ createWritable }),
    removeEntry: async (name: string) => void removed.push(name),
  };
}

it("a window without a folder has no shelf", async () => {
  const getDirectory = async (): Promise<never> => {
    throw new DOMException("private", "SecurityError");
  };
  vi.stubGlobal("navigator", { storage: { getDirectory } });
  expect(await Shelf.open()).toBeNull();
  vi.unstubAllGlobals();
});

it("a piece that the folder has no room for is made in memory, whole, and leaves nothing there", async () => {
  const removed: string[] = [];
  vi.stubGlobal("navigator", { storage: { getDirectory: async () => full(removed) } });
  const making = (await Shelf.open())?.making();
  const run = bytes(2, 3);
  making?.add(run);
  run.fill(0); // the next run takes its memory over
  const piece = await making?.end(bytes(1));
  expect([...new Uint8Array((await piece?.blob.arrayBuffer()) ?? [])]).toEqual([1, 2, 3]);
  expect(removed).toHaveLength(1);
  vi.unstubAllGlobals();
});
