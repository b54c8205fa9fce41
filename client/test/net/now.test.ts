import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeAll, describe, expect, it } from "vitest";

import { MAX_NOW } from "../../src/formats/base/limits.js";
import { askNow, type Now } from "../../src/net/now.js";

const GOOD = { collected: {}, former: [], manifests: ["a"], named: ["00"], toll: { letter: 0 } };
/** Answers, each for one request. */
let answers: string[] = [];
let server: Server;

beforeAll(async () => {
  server = createServer((_, response) => {
    const answer = answers.shift() ?? "";
    response.writeHead(answer === "" ? 503 : 200, { "Content-Length": answer.length }).end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return () => server.close();
});

function ask(...given: string[]): Promise<Now> {
  answers = given;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/now`;
  return askNow(url, { signal: new AbortController().signal, timing: { firstPause: 1, longestPause: 1 } });
}

describe("what changes from day to day", () => {
  it("is asked for until it is answered", async () => {
    expect(await ask("", "", JSON.stringify(GOOD))).toEqual({ manifests: ["a"], named: ["00"], toll: { letter: 0 } });
  });

  it.each([
    {},
    { ...GOOD, manifests: {} },
    { ...GOOD, manifests: [1] },
    { ...GOOD, named: "00" },
    { ...GOOD, named: [null] },
    { manifests: [], named: [] },
  ])("is nothing else than the protocol has: %j", async (answer) => {
    await expect(ask(JSON.stringify(answer))).rejects.toThrow("internal");
  });

  it("has a bound", async () => {
    await expect(ask(" ".repeat(MAX_NOW + 1))).rejects.toThrow("limit");
    await expect(ask("x")).rejects.toThrow("internal");
  });
});
