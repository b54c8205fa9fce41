import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { type Code, codeOf } from "../../src/errors.js";
import { type Bytes, equal } from "../../src/formats/base/bytes.js";
import { ENVELOPE_PART_SIZE, MAX_NOW, MAX_OPENING, MAX_RUN_PARTS } from "../../src/formats/base/limits.js";
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

describe("a line on which nothing is heard", () => {
  const told: (readonly [Code | null, number | undefined])[] = [];
  /** The signal of each request, and what answers it. */
  let asked: { readonly signal: AbortSignal; readonly answer: (response: Response) => void }[];
  const onTrouble = (trouble: Code | null, pause?: number): number => told.push([trouble, pause]);
  const real = globalThis.fetch;
  const SECOND = 1000;
  const TEXT = 12_400;

  beforeEach(() => {
    vi.useFakeTimers();
    told.length = 0;
    asked = [];
    globalThis.fetch = (_, init) =>
      new Promise((resolve, reject) => {
        const signal = init?.signal ?? new AbortController().signal;
        asked.push({ signal, answer: resolve });
        signal.addEventListener("abort", () => reject(new Error("ended")));
      });
  });
  afterEach(() => {
    vi.useRealTimers();
    globalThis.fetch = real;
  });

  function put(line: Connection, size: number, more: object = {}): Promise<unknown> {
    const sent = line.request({ method: "PUT", url: address, body: new Uint8Array(size), ...more });
    return sent.then(
      ({ length }) => length,
      (error: unknown) => codeOf(error),
    );
  }

  /** Sends so many bytes, which are answered after so many seconds. */
  async function sendWithin(line: Connection, size: number, seconds: number): Promise<void> {
    const sent = put(line, size);
    await vi.advanceTimersByTimeAsync(seconds * SECOND);
    asked.at(-1)?.answer(new Response("{}"));
    expect(await sent).toBe(2);
  }

  /** Seconds after which a request of so many bytes is given up. */
  async function givenUpAfter(line: Connection, size: number, more: object = {}): Promise<number> {
    const began = performance.now();
    const sent = put(line, size, more);
    const request = asked.at(-1);
    for (let turn = 0; turn < 300 && request?.signal.aborted === false; turn++)
      await vi.advanceTimersByTimeAsync(10 * SECOND);
    expect(request?.signal.aborted).toBe(true);
    expect(await sent).toBe("network");
    return (performance.now() - began) / SECOND;
  }

  it("is said to be slow after some seconds, until something comes", async () => {
    const sent = put(connection({ onTrouble }), TEXT);
    await vi.advanceTimersByTimeAsync(15 * SECOND);
    expect(told).toEqual([]);
    await vi.advanceTimersByTimeAsync(10 * SECOND);
    expect(told).toEqual([["network", undefined]]);
    asked[0]?.answer(new Response("{}"));
    expect(await sent).toBe(2);
    expect(told).toEqual([
      ["network", undefined],
      [null, undefined],
    ]);
    await vi.advanceTimersByTimeAsync(300 * SECOND);
    expect(told).toHaveLength(2);
  });

  it("is not said to be slow while another request is answered, nor for what it has shown to take", async () => {
    const line = connection({ onTrouble });
    const first = put(line, ENVELOPE_PART_SIZE);
    for (let times = 0; times < 6; times++) await sendWithin(line, ENVELOPE_PART_SIZE, 15);
    asked[0]?.answer(new Response("{}"));
    await first;
    await sendWithin(line, 2 * ENVELOPE_PART_SIZE, 45);
    expect(told).toEqual([]);
    const silent = put(line, 1 << 22);
    await vi.advanceTimersByTimeAsync(60 * SECOND);
    expect(told).toEqual([["network", undefined]]);
    asked.at(-1)?.answer(new Response("{}"));
    await silent;
  });

  it("is that of a busy server where it may take its time", async () => {
    const sent = put(connection({ onTrouble }), 100, { extra: 60_000 });
    await vi.advanceTimersByTimeAsync(21 * SECOND);
    expect(told).toEqual([["unavailable", undefined]]);
    asked[0]?.answer(new Response("{}"));
    await sent;
  });

  it("is given up in minutes, and never while the slowest line would still send", async () => {
    const slowest = connection();
    await sendWithin(slowest, 10_000, 45);
    const unit = ENVELOPE_PART_SIZE;
    const [text, part, run] = [
      await givenUpAfter(connection(), TEXT),
      await givenUpAfter(slowest, ENVELOPE_PART_SIZE, { unit }),
      await givenUpAfter(slowest, MAX_RUN_PARTS * ENVELOPE_PART_SIZE, { unit }),
    ];
    // 2 kbit/s, and for parts two requests at once on it.
    expect(text).toBeGreaterThan(3 + TEXT / 250);
    expect(text).toBeLessThan(180);
    expect(part).toBeGreaterThan(3 + ENVELOPE_PART_SIZE / 125);
    expect(run).toBeLessThan(900);
    expect(await givenUpAfter(connection(), MAX_OPENING)).toBeLessThan(2000);
  });

  it("is waited for while an answer comes, however slowly, and no longer", async () => {
    let more: ReadableStreamDefaultController<Bytes> | undefined;
    const body = new ReadableStream<Bytes>({
      start: (controller) => {
        more = controller;
      },
    });
    const sent = put(connection(), 0);
    asked[0]?.signal.addEventListener("abort", () => more?.error(new Error("ended")));
    asked[0]?.answer(new Response(body));
    for (let minute = 0; minute < 20; minute++) {
      await vi.advanceTimersByTimeAsync(60 * SECOND);
      more?.enqueue(new Uint8Array(9));
    }
    expect(asked[0]?.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(100 * SECOND);
    expect(await sent).toBe("network");
  });

  it("has what changes from day to day asked for again in minutes", async () => {
    const said = askTold(address).catch(codeOf);
    await vi.advanceTimersByTimeAsync(100 * SECOND);
    expect(asked[0]?.signal.aborted).toBe(true);
    expect(await said).toBe("network");
  });
});
