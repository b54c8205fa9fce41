// Never shipped: the worker of a page that measures sealing. The sealing is the client's own, from reading the chosen
// file to the run that would be sent; only the request is left out.

import { BodySealer, partNonce } from "../../client/src/body.js";
import { BodyReader } from "../../client/src/files.js";
import { PART_SIZE } from "../../client/src/limits.js";
import { TIMING } from "../../client/src/line.js";
import { padme } from "../../client/src/padding.js";
import { aesKey, random } from "../../client/src/primitives.js";
import { sendBody } from "../../client/src/send.js";
import { type Run, Upload } from "../../client/src/upload.js";

type Way = "sealed" | "bare" | "bareAtOnce" | "bareFile" | "read";
type Question = { readonly way: Way; readonly file: File };

/** Plaintext that the bare runs go round and round in. */
const BUFFER = 64 * PART_SIZE;

/** A line that takes everything at once, so that runs grow as on a fast line. */
class Discard extends Upload {
  bytes = 0;

  constructor() {
    super({ api: "", signal: new AbortController().signal });
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

/** Bare WebCrypto: one call after the other over buffers of a part's size that lie in memory. */
async function bare(file: File): Promise<number> {
  const buffer = random(PART_SIZE);
  const key = await aesKey(random(32));
  let bytes = 0;
  for (let counter = 0; counter * PART_SIZE < file.size; counter++) {
    bytes += (await crypto.subtle.encrypt(algorithm(counter), key, buffer)).byteLength;
  }
  return bytes;
}

/** Bare WebCrypto with 64 calls under way: the most that this browser gives. */
async function bareAtOnce(file: File): Promise<number> {
  const buffer = random(PART_SIZE);
  const key = await aesKey(random(32));
  let bytes = 0;
  for (let counter = 0; counter * PART_SIZE < file.size; counter += 64) {
    const calls = Array.from({ length: 64 }, (_, i) => crypto.subtle.encrypt(algorithm(counter + i), key, buffer));
    for (const one of await Promise.all(calls)) bytes += one.byteLength;
  }
  return bytes;
}

/** The least that sealing this file takes: read 4 MiB of it, 64 bare calls, again. */
async function bareFile(file: File): Promise<number> {
  const key = await aesKey(random(32));
  let bytes = 0;
  for (let start = 0; start < file.size; start += BUFFER) {
    const plaintext = new Uint8Array(await file.slice(start, start + BUFFER).arrayBuffer());
    const calls: Promise<ArrayBuffer>[] = [];
    for (let at = 0; at < plaintext.length; at += PART_SIZE) {
      calls.push(crypto.subtle.encrypt(algorithm((start + at) / PART_SIZE), key, plaintext.subarray(at, at + PART_SIZE)));
    }
    for (const one of await Promise.all(calls)) bytes += one.byteLength;
  }
  return bytes;
}

/** Reads the file and does nothing with it. */
async function read(file: File): Promise<number> {
  const reader = new BodyReader([file], file.size);
  let bytes = 0;
  for (let piece = await reader.read(BUFFER); piece.length > 0; piece = await reader.read(BUFFER)) bytes += piece.length;
  return bytes;
}

const ways: Readonly<Record<Way, (file: File) => Promise<number>>> = { sealed, bare, bareAtOnce, bareFile, read };

self.onmessage = async ({ data }: MessageEvent<Question>) => {
  const begun = performance.now();
  const bytes = await ways[data.way](data.file);
  self.postMessage({ bytes, milliseconds: performance.now() - begun });
};
