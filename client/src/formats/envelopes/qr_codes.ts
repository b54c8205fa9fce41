// An Envelope of text as a set of QR codes (docs/format.md, section 15). Pages only make them; a desk reads them.

import { demand } from "../../errors.js";
import { type Bytes, concat, uint, utf8 } from "../base/bytes.js";
import * as labels from "../base/labels.js";
import { ID_SIZE, MAX_QR_BLOCKS, QR_BLOCK, QR_MAGIC, VERSION } from "../base/limits.js";
import { sha256 } from "../base/primitives.js";

const magic = Uint8Array.from(QR_MAGIC, (char) => char.charCodeAt(0));
/** Codes on one printed sheet: so many may always be lost. */
export const SHEET = 6;
/** x^8 + x^4 + x^3 + x^2 + 1: the field of QR codes themselves. */
const FIELD = 0x1_1d;

/** What is said of one code before its block. */
export interface QrHead {
  readonly number: number;
  /** How many codes carry the Envelope's own bytes, and how many more there are. */
  readonly data: number;
  readonly parity: number;
  /** Of the Envelope. */
  readonly size: number;
  /** The set id. */
  readonly ident: Bytes;
}

/** How many QR codes an Envelope of so many bytes becomes, and how many of them are enough; `null` if it is too large. */
export function qrCodesOf(size: number): { readonly count: number; readonly enough: number } | null {
  const enough = Math.ceil(size / QR_BLOCK);
  return enough > MAX_QR_BLOCKS ? null : { count: enough + parityOf(enough), enough };
}

function parityOf(data: number): number {
  return Math.max(SHEET, Math.ceil(data / 4));
}

/** The bytes of one code. */
export async function encodeQrCode({ number, data, parity, size, ident }: QrHead, block: Bytes): Promise<Bytes> {
  const numbers = [VERSION, number, data, parity].map((value) => uint(value, 1));
  const said = concat(magic, ...numbers, uint(size, 4), ident, block);
  return concat(said, (await sha256(utf8(labels.QR_CODE), said)).slice(0, ID_SIZE));
}

/** The bytes of all codes of an Envelope, in their order. Throws `limit` when it does not fit. */
export async function toQrCodes(envelope: Bytes): Promise<Bytes[]> {
  const size = envelope.length;
  const data = Math.ceil(size / QR_BLOCK);
  demand(1 <= data && data <= MAX_QR_BLOCKS, "limit");
  const parity = parityOf(data);
  const said = concat(uint(data, 1), uint(parity, 1), uint(size, 4), envelope);
  const ident = (await sha256(utf8(labels.QR_SET), said)).slice(0, ID_SIZE);
  const blocks = Array.from({ length: data }, (_, number) => {
    const block = new Uint8Array(QR_BLOCK);
    block.set(envelope.subarray(number * QR_BLOCK, (number + 1) * QR_BLOCK));
    return block;
  });
  const all = [...blocks, ...parityBlocks(blocks, parity)];
  return Promise.all(all.map((block, number) => encodeQrCode({ number, data, parity, size, ident }, block)));
}

/** Powers of 2 in the field, twice around, and their logarithms. */
function tables(): { readonly power: Uint8Array; readonly log: Uint8Array } {
  const power = new Uint8Array(510);
  const log = new Uint8Array(256);
  for (let i = 0, value = 1; i < 255; i++) {
    power[i] = value;
    power[i + 255] = value;
    log[value] = i;
    value = value < 128 ? value * 2 : (value * 2) ^ FIELD;
  }
  return { power, log };
}

/**
 * Reed-Solomon across the blocks, place by place; it only encodes. Packages that do this are WebAssembly, which Tor
 * Browser lacks at Safer, or native, and the one inside the QR encoder is not exported.
 */
function parityBlocks(blocks: readonly Bytes[], parity: number): Bytes[] {
  const { power, log } = tables();
  const times = (one: number, other: number): number =>
    one === 0 || other === 0 ? 0 : (power[(log[one] ?? 0) + (log[other] ?? 0)] ?? 0);
  // (x - 1)(x - 2)(x - 4)…, the highest coefficient first.
  const divisor = [...power.subarray(0, parity)].reduce<readonly number[]>(
    (before, root) => before.concat(0).map((value, at) => value ^ times(before[at - 1] ?? 0, root)),
    [1],
  );
  const found = Array.from({ length: parity }, () => new Uint8Array(QR_BLOCK));
  for (let place = 0; place < QR_BLOCK; place++) {
    const rest = new Uint8Array(parity);
    for (const block of blocks) {
      const factor = (block[place] ?? 0) ^ (rest[0] ?? 0);
      rest.copyWithin(0, 1);
      rest[parity - 1] = 0;
      for (let i = 0; i < parity; i++) rest[i] = (rest[i] ?? 0) ^ times(divisor[i + 1] ?? 0, factor);
    }
    for (const [i, block] of found.entries()) block[place] = rest[i] ?? 0;
  }
  return found;
}
