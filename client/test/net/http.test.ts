import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { equal } from "../../src/formats/base/bytes.js";
import { MAX_NOW } from "../../src/formats/base/limits.js";
import { Connection } from "../../src/net/http.js";
import { askTold } from "../../src/net/told.js";

let server: Server;
let answer: (response: ServerResponse) => void;
let address: string;

beforeEach(async () => {
  server = createServer((request, response) => {
    request.resume().on("end", () => answer(response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/now`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function connection(options: object = {}): Connection {
  return new Connection(null, { signal: new AbortController().signal, ...options });
}

describe("an answer that is longer than any of its kind", () => {
  const PIECE = 65_536;
  const MEGABYTES = 32;
  /** Bytes of it that the server could get rid of, once nobody takes more. */
  let taken: Promise<number>;

  beforeEach(() => {
    taken = new Promise((resolve) => {
      answer = (response) => {
        let sent = 0;
        const more = (): void => {
          while (sent < MEGABYTES * 1_000_000) {
            sent += PIECE;
            if (!response.write(Buffer.alloc(PIECE, "{"))) return;
          }
          response.end();
        };
        response.on("drain", more).on("close", () => resolve(sent));
        more();
      };
    });
  });

  it.each([
    ["of a request", 65_536, () => connection().request({ method: "GET", url: address })],
    ["of a larger one", 262_144, () => connection().request({ method: "GET", url: address, expected: 262_144 })],
    ["of the day", MAX_NOW, () => askTold(address)],
  ])("%s is not taken, and ends", async (_, bound, ask) => {
    await expect(ask().then(({ length }) => length)).rejects.toThrow(/^network$/);
    // Besides, what lies in the buffers of both ends.
    expect(await taken).toBeLessThan(bound + 16_000_000);
  });
});

describe("an answer of the largest size", () => {
  it.each([
    [65_536, undefined],
    [262_144, 262_144],
  ])("of %d bytes is taken whole", async (size, expected) => {
    const bytes = new Uint8Array(size).map((_, at) => at % 251);
    answer = (response) => response.end(bytes);
    const request = { method: "GET", url: address, ...(expected !== undefined && { expected }) } as const;

    expect(equal(await connection().request(request), bytes)).toBe(true);
  });

  it("of the day is taken whole, in whatever alphabet", async () => {
    const text = "Қазір ".repeat(MAX_NOW / 11);
    answer = (response) => response.end(text);

    expect(await askTold(address)).toBe(text);
  });
});
