// Never shipped: the worker of a page that measures sealing. The sealing is the client's own, from reading the chosen
// file to the run that would be sent; only the request is left out.

import { MAX_RUN_PARTS, PART_SIZE } from "../../client/src/formats/base/limits.js";
import { padme } from "../../client/src/formats/base/padding.js";
import { aesKey, random } from "../../client/src/formats/base/primitives.js";
import { BodySealer, partNonce } from "../../client/src/formats/envelopes/body.js";
import { TIMING } from "../../client/src/net/http.js";
import { type Run, RunLength, Upload } from "../../client/src/net/upload.js";
import { BodyReader } from "../../client/src/worker/files.js";
import { sendBody } from "../../client/src/worker/send.js";

type Way = "sealed" | "sealOnly" | "bare" | "bareAtOnce" | "bareFile" | "read";
interface Question {
  readonly way: Way;
  readonly file: File;
}

/** The longest run. */
const BUFFER = MAX_RUN_PARTS * PART_SIZE;

/** A line that takes everything at once, so that runs grow as on a fast line. */
class Discard extends Upload {
  bytes = 0;

  constructor() {
    super({ api: "", signal: new AbortController().signal, loadPayer: () => Promise.reject(new Error("no toll")) });
  }

  override send(run: Run): Promise<void> {
    this.bytes += run.sealed.length;
    this.length.answered(run.count, 0, TIMING);
    return Promise.resolve();
  }
}

/** Seals the file as the page's worker does; bytes of ciphertext. */
async function sealed(file: File): Promise<number> {
  const size = padme(file.size);
  const upload = new Discard();
  const sealer = await BodySealer.create(random(32), random(32), size);
  await sendBody(upload, sealer, new BodyReader([file], size));
  return upload.bytes;
}

const algorithm = (counter: number): AesGcmParams => ({ name: "AES-GCM", iv: partNonce(counter, false) });

/** The memory that everything without a file works in. */
function inMemory(): Uint8Array<ArrayBuffer> {
  const buffer = new Uint8Array(BUFFER);
  for (let at = 0; at < BUFFER; at += PART_SIZE) buffer.set(random(PART_SIZE), at);
  return buffer;
}

/** One call of bare WebCrypto after the other, a part each; bytes of ciphertext. */
async function bareRun(key: CryptoKey, first: number, plaintext: Uint8Array<ArrayBuffer>): Promise<number> {
  let bytes = 0;
  for (let at = 0; at < plaintext.length; at += PART_SIZE) {
    const part = plaintext.subarray(at, at + PART_SIZE);
    bytes += (await crypto.subtle.encrypt(algorithm(first + at / PART_SIZE), key, part)).byteLength;
  }
  return bytes;
}

/** The client's sealing without reading: runs as long as it makes them, over and over in the same memory. */
async function sealOnly(file: File): Promise<number> {
  const sealer = await BodySealer.create(random(32), random(32), file.size);
  const plaintext = inMemory();
  const length = new RunLength();
  let room: ArrayBuffer | undefined;
  let bytes = 0;
  while (sealer.next < sealer.parts) {
    const count = Math.min(length.parts, sealer.parts - sealer.next);
    const run = await sealer.seal(plaintext.subarray(0, count * PART_SIZE), room);
    length.answered(count, 0, TIMING);
    bytes += run.length;
    room = run.buffer;
  }
  return bytes;
}

/** Bare WebCrypto over the memory that `sealOnly` works in. */
async function bare(file: File): Promise<number> {
  const plaintext = inMemory();
  const key = await aesKey(random(32));
  let bytes = 0;
  for (let start = 0; start < file.size; start += BUFFER) bytes += await bareRun(key, start / PART_SIZE, plaintext);
  return bytes;
}

/** Bare WebCrypto with 64 calls under way. */
async function bareAtOnce(file: File): Promise<number> {
  const plaintext = inMemory();
  const key = await aesKey(random(32));
  let bytes = 0;
  for (let counter = 0; counter * PART_SIZE < file.size; counter += MAX_RUN_PARTS) {
    const calls = Array.from({ length: MAX_RUN_PARTS }, (_, i) =>
      crypto.subtle.encrypt(algorithm(counter + i), key, plaintext.subarray(i * PART_SIZE, (i + 1) * PART_SIZE)),
    );
    for (const one of await Promise.all(calls)) bytes += one.byteLength;
  }
  return bytes;
}

/** Bare WebCrypto over the file: a run is read as the client reads it, then encrypted, then the next one. */
async function bareFile(file: File): Promise<number> {
  const reader = new BodyReader([file], file.size);
  const key = await aesKey(random(32));
  let room: ArrayBuffer | undefined;
  let bytes = 0;
  for (let counter = 0; reader.left > 0; counter += MAX_RUN_PARTS) {
    const plaintext = await reader.read(BUFFER, room);
    bytes += await bareRun(key, counter, plaintext);
    room = plaintext.buffer;
  }
  return bytes;
}

/** Reads the file as the client does, and does nothing with it. */
async function read(file: File): Promise<number> {
  const reader = new BodyReader([file], file.size);
  let room: ArrayBuffer | undefined;
  let bytes = 0;
  while (reader.left > 0) {
    const piece = await reader.read(BUFFER, room);
    bytes += piece.length;
    room = piece.buffer;
  }
  return bytes;
}

const ways: Readonly<Record<Way, (file: File) => Promise<number>>> = {
  sealed,
  sealOnly,
  bare,
  bareAtOnce,
  bareFile,
  read,
};

globalThis.onmessage = async ({ data }: MessageEvent<Question>) => {
  try {
    const begun = performance.now();
    const bytes = await ways[data.way](data.file);
    globalThis.postMessage({ bytes, milliseconds: performance.now() - begun });
  } catch (error) {
    globalThis.postMessage({ error: String(error) });
  }
};
