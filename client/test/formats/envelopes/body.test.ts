// Memory and counters while a body is sealed and sent, looked at from below (WebCrypto) and from above (the upload).

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Bytes, concat, isZero, toHex } from "../../../src/formats/base/bytes.js";
import { ENVELOPE_PART_SIZE, PART_SIZE, SESSION_NONCE_SIZE } from "../../../src/formats/base/limits.js";
import { partsOf } from "../../../src/formats/base/padding.js";
import { open, random, sha256 } from "../../../src/formats/base/primitives.js";
import { BodySealer } from "../../../src/formats/envelopes/body.js";
import { TIMING } from "../../../src/net/http.js";
import { type Run, Upload } from "../../../src/net/upload.js";
import { BodyReader } from "../../../src/worker/files.js";
import { sendBody } from "../../../src/worker/send.js";
import { contentOf } from "../../support/tools.js";

const realEncrypt = crypto.subtle.encrypt.bind(crypto.subtle);
let nonces: string[];
let plaintexts: Bytes[];
/** Called with the number of each call before it is made. */
let onEncrypt: (number: number) => void;

beforeEach(() => {
  nonces = [];
  plaintexts = [];
  onEncrypt = () => undefined;
  crypto.subtle.encrypt = async (algorithm, key, data) => {
    onEncrypt(nonces.length);
    nonces.push(toHex((algorithm as AesGcmParams).iv as Bytes));
    plaintexts.push(data as Bytes);
    return realEncrypt(algorithm, key, data);
  };
});
afterEach(() => {
  crypto.subtle.encrypt = realEncrypt;
});

/** A line on which each run travels for some turns of the event loop. */
class SlowUpload extends Upload {
  readonly runs: { readonly first: number; readonly count: number; readonly sealed: Bytes }[] = [];
  readonly travelling = new Set<ArrayBuffer>();
  readonly memory = new Set<ArrayBuffer>();
  together = 0;
  /** Ends the upload after so many runs. */
  breaksAfter = Number.POSITIVE_INFINITY;

  constructor() {
    super({ api: "", signal: new AbortController().signal, loadPayer: () => Promise.reject(new Error("no toll")) });
  }

  override async send({ first, count, sealed }: Run): Promise<void> {
    if (this.runs.length >= this.breaksAfter) throw new Error("the connection is broken");
    const before = sealed.slice();
    expect(this.travelling.has(sealed.buffer)).toBe(false);
    this.travelling.add(sealed.buffer);
    this.memory.add(sealed.buffer);
    this.runs.push({ first, count, sealed: before });
    this.together = Math.max(this.together, this.travelling.size);
    for (let turn = 0; turn < 1 + (first % 5) * 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(Buffer.compare(sealed, before)).toBe(0);
    this.travelling.delete(sealed.buffer);
    this.length.answered(count, 0, TIMING);
  }
}

/** All plaintext that anyone can still reach is gone. */
function expectWiped(): void {
  expect(plaintexts.length).toBeGreaterThan(0);
  expect(plaintexts.every((one) => one.byteLength === 0 || isZero(one))).toBe(true);
}

async function prepare(sizes: readonly number[], padded: number) {
  const contents = sizes.map(contentOf);
  const sealer = await BodySealer.create(random(32), random(32), padded);
  return {
    contents,
    sealer,
    reader: new BodyReader(
      contents.map((one) => new Blob([one])),
      padded,
    ),
  };
}

describe("sending a body", () => {
  it("seals each part once, in memory that no other run has, and wipes the plaintext", async () => {
    const sizes = [3 * PART_SIZE + 5, 0, 290 * PART_SIZE];
    const padded = 300 * PART_SIZE - 7;
    const importKey = vi.spyOn(crypto.subtle, "importKey");
    const { contents, sealer, reader } = await prepare(sizes, padded);
    const handle = (await importKey.mock.results.at(-1)?.value) as CryptoKey;
    importKey.mockRestore();
    const upload = new SlowUpload();
    await sendBody(upload, sealer, reader);
    const runs = upload.runs.toSorted((one, other) => one.first - other.first);
    const parts = partsOf(padded);

    expect(new Set(nonces).size).toBe(parts);
    expect(nonces.length).toBe(parts);
    expect(nonces.filter((nonce) => nonce.endsWith("01")).length).toBe(1);
    let next = 0;
    const opened: Bytes[] = [];
    for (const { first, count, sealed } of runs) {
      expect(first).toBe(next);
      next += count;
      for (let i = 0; i < count; i++) {
        const nonce = new Uint8Array(12);
        new DataView(nonce.buffer).setUint32(7, first + i);
        nonce[11] = first + i === parts - 1 ? 1 : 0;
        const part = sealed.slice(i * ENVELOPE_PART_SIZE, (i + 1) * ENVELOPE_PART_SIZE);
        expect(toHex(part.slice(0, SESSION_NONCE_SIZE))).toBe(toHex(sealer.sessionNonce));
        expect(toHex(sealer.hashes[first + i] ?? nonce)).toBe(toHex(await sha256(part)));
        opened.push(await open(handle, nonce, part.slice(SESSION_NONCE_SIZE)));
      }
    }
    const body = concat(...contents);
    expect(next).toBe(parts);
    expect(Buffer.compare(concat(...opened), concat(body, new Uint8Array(padded - body.length)))).toBe(0);
    expect(upload.together).toBe(2);
    expect(upload.memory.size).toBeLessThan(runs.length);
    expectWiped();
  });

  it.each([5, 40])("ends soon when sealing part %d fails, and wipes the plaintext", async (failing) => {
    const { sealer, reader } = await prepare([1000 * PART_SIZE], 1000 * PART_SIZE);
    onEncrypt = (number) => {
      if (number === failing) throw new Error("no memory");
    };
    const upload = new SlowUpload();

    await expect(sendBody(upload, sealer, reader)).rejects.toThrow("no memory");
    const left = reader.left;
    await vi.waitFor(expectWiped); // the other lane had a run under way
    expect(reader.left).toBe(left);
    expect(left).toBeGreaterThan(800 * PART_SIZE);
    expect(new Set(nonces).size).toBe(nonces.length);
  });

  it("ends soon when a run cannot be sent", async () => {
    const { sealer, reader } = await prepare([1000 * PART_SIZE], 1000 * PART_SIZE);
    const upload = new SlowUpload();
    upload.breaksAfter = 3;

    await expect(sendBody(upload, sealer, reader)).rejects.toThrow("the connection is broken");
    const left = reader.left;
    await vi.waitFor(expectWiped); // the other lane had a run under way
    expect(upload.runs.length).toBe(3);
    expect(reader.left).toBe(left);
    expect(left).toBeGreaterThan(800 * PART_SIZE);
    expect(new Set(nonces).size).toBe(nonces.length);
  });
});

describe("reading into memory that was used before", () => {
  it("leaves nothing of what it held, and takes it away", async () => {
    const [one, other] = [contentOf(5), contentOf(9)];
    const reader = new BodyReader([new Blob([one]), new Blob([other])], 32);
    const room = new Uint8Array(64).fill(0xff).buffer;
    const piece = await reader.read(32, room);

    expect(room.byteLength).toBe(0);
    expect(piece.buffer.byteLength).toBe(64);
    expect(Buffer.compare(piece, concat(one, other, new Uint8Array(18)))).toBe(0);
  });

  it("takes more when it is too small", async () => {
    const content = contentOf(9);
    const piece = await new BodyReader([new Blob([content])], 16).read(16, new ArrayBuffer(8));

    expect(Buffer.compare(piece, concat(content, new Uint8Array(7)))).toBe(0);
  });

  it("gives each piece bytes of its own, although the one before has not come", async () => {
    const content = contentOf(1000);
    const reader = new BodyReader([new Blob([content])], 1000);
    const pieces = await Promise.all([reader.read(400), reader.read(400), reader.read(400)]);

    expect(Buffer.compare(concat(...pieces), content)).toBe(0);
  });

  it("wipes it when a later file has changed", async () => {
    const short = new Blob([contentOf(100)]);
    short.slice = () => copying(new Blob([contentOf(50)]));
    const first = new Blob([contentOf(10)]);
    first.slice = (start, end) => copying(new Blob([contentOf(10).slice(start, end)]));
    const room = new ArrayBuffer(128);

    await expect(new BodyReader([first, short], 128).read(128, room)).rejects.toMatchObject({
      code: "file-changed",
      index: 1,
    });
    expect(room.byteLength).toBe(128);
    expect(isZero(new Uint8Array(room))).toBe(true);
  });
});

/** A Blob that is no byte stream: what it gives is copied, so a test still holds the memory. */
function copying(blob: Blob): Blob {
  const stream = blob.stream.bind(blob);
  blob.stream = () => (stream() as ReadableStream<Bytes>).pipeThrough(new TransformStream<Bytes, Bytes>());
  return blob;
}
