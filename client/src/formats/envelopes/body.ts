// The body: the files' bytes in sealed parts of one size (docs/format.md, section 4.4).

import { TipboxError } from "../../errors.js";
import { allocate, type Bytes } from "../base/bytes.js";
import * as labels from "../base/labels.js";
import { PART_SIZE, SEALED_PART_SIZE, TAG_SIZE } from "../base/limits.js";
import { partsOf, sealedSize } from "../base/padding.js";
import { aesKey, hkdf, open, seal } from "../base/primitives.js";

/** Parts that WebCrypto works on at once: with one, each waits for a turn of the event loop; many only take memory. */
const AT_ONCE = 4;

/** The nonce of STREAM: an 11-byte counter, then 1 for the last part. */
export function partNonce(counter: number, last: boolean): Bytes {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(3, BigInt(counter));
  nonce[11] = last ? 1 : 0;
  return nonce;
}

async function partKey(headerHash: Bytes, bodyKey: Bytes): Promise<CryptoKey> {
  const key = await hkdf(bodyKey, headerHash, labels.PARTS);
  const handle = await aesKey(key);
  key.fill(0);
  return handle;
}

/** Seals the parts of one body, each exactly once: a counter that was used is never used again. */
export class BodySealer {
  readonly #key: CryptoKey;
  #next = 0;

  private constructor(
    key: CryptoKey,
    readonly parts: number,
  ) {
    this.#key = key;
  }

  /** A sealer for the body under `bodyKey`, `size` padded bytes long. */
  static async create(headerHash: Bytes, bodyKey: Bytes, size: number): Promise<BodySealer> {
    return new BodySealer(await partKey(headerHash, bodyKey), partsOf(size));
  }

  /** The index of the next part to seal. */
  get next(): number {
    return this.#next;
  }

  /**
   * Seals the next parts and returns them joined, in new memory or in `room`. All but the last part of the body must be
   * whole. The counters are taken before this returns, so that calls that overlap never share one.
   */
  seal(plaintext: Bytes, room?: ArrayBuffer): Promise<Bytes> {
    const count = partsOf(plaintext.length);
    const first = this.#next;
    const end = first + count;
    const whole = plaintext.length % PART_SIZE === 0 || end === this.parts;
    if (end > this.parts || !whole) throw new TipboxError("internal");
    this.#next = end;
    return this.#seal(first, plaintext, allocate(sealedSize(plaintext.length), room));
  }

  async #seal(first: number, plaintext: Bytes, sealed: Bytes): Promise<Bytes> {
    const count = partsOf(plaintext.length);
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let i = next++; i < count; i = next++) {
        const part = plaintext.subarray(i * PART_SIZE, (i + 1) * PART_SIZE);
        sealed.set(
          await seal(this.#key, partNonce(first + i, first + i === this.parts - 1), part),
          i * SEALED_PART_SIZE,
        );
      }
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, lane));
    } finally {
      next = count; // a lane that fails ends the others
    }
    return sealed;
  }
}

/** Opens the parts of one body, in any order. */
export class BodyOpener {
  readonly #key: CryptoKey;
  readonly parts: number;

  private constructor(
    key: CryptoKey,
    readonly size: number,
  ) {
    this.#key = key;
    this.parts = partsOf(size);
  }

  /** An opener for the body under `bodyKey`, `size` padded bytes long. */
  static async create(headerHash: Bytes, bodyKey: Bytes, size: number): Promise<BodyOpener> {
    return new BodyOpener(await partKey(headerHash, bodyKey), size);
  }

  /** Bytes of a sealed part. */
  sealedSize(counter: number): number {
    return Math.min(PART_SIZE, this.size - counter * PART_SIZE) + TAG_SIZE;
  }

  /** Opens one part. Throws `tampered`. */
  open(counter: number, sealed: Bytes): Promise<Bytes> {
    return open(this.#key, partNonce(counter, counter === this.parts - 1), sealed);
  }
}
