// The body: the files' bytes in sealed parts of one size (docs/format.md, section 4.4).

import { TipboxError } from "../../errors.js";
import { allocate, type Bytes, equal, release } from "../base/bytes.js";
import * as labels from "../base/labels.js";
import { ENVELOPE_PART_SIZE, PART_SIZE, SESSION_NONCE_SIZE } from "../base/limits.js";
import { partsOf, sealedBodyPartSize, sealedBodySize } from "../base/padding.js";
import { aesKey, derivingKey, hkdf, open, random, seal } from "../base/primitives.js";

/** Parts that WebCrypto works on at once: with one, each waits for a turn of the event loop; many only take memory. */
const AT_ONCE = 4;

/** The nonce of STREAM: an 11-byte counter, then 1 for the last part. */
export function partNonce(counter: number, last: boolean): Bytes {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(3, BigInt(counter));
  nonce[11] = last ? 1 : 0;
  return nonce;
}

async function partKey(base: CryptoKey, headerHash: Bytes, sessionNonce: Bytes): Promise<CryptoKey> {
  const key = await hkdf(base, headerHash, labels.PARTS, sessionNonce);
  const handle = await aesKey(key);
  key.fill(0);
  return handle;
}

/**
 * Seals the parts of one body in one session, each exactly once: a counter that was used is never used again. Each
 * sealed part begins with the session nonce; a new session has another, and so never meets the same key.
 */
export class BodySealer {
  readonly #key: CryptoKey;
  readonly #base: CryptoKey;
  readonly #headerHash: Bytes;
  #next = 0;
  /** SHA-256 of each sealed part, by its number: of those that were sealed here, and of no others. */
  readonly hashes: Bytes[] = [];

  private constructor(
    base: CryptoKey,
    headerHash: Bytes,
    key: CryptoKey,
    readonly sessionNonce: Bytes,
    readonly parts: number,
  ) {
    this.#base = base;
    this.#headerHash = headerHash;
    this.#key = key;
  }

  /** A sealer for the body under `bodyKey`, `size` padded bytes long, in a new session. */
  static async create(headerHash: Bytes, bodyKey: Bytes, size: number): Promise<BodySealer> {
    return BodySealer.#of(await derivingKey(bodyKey), headerHash, random(SESSION_NONCE_SIZE), partsOf(size));
  }

  static async #of(base: CryptoKey, headerHash: Bytes, sessionNonce: Bytes, parts: number): Promise<BodySealer> {
    return new BodySealer(base, headerHash, await partKey(base, headerHash, sessionNonce), sessionNonce, parts);
  }

  /**
   * A sealer for the same body in another session: a new one, or the one with this nonce. The parts of a session that
   * somebody else named are for comparing only, and are never sent.
   */
  again(sessionNonce: Bytes = random(SESSION_NONCE_SIZE)): Promise<BodySealer> {
    return BodySealer.#of(this.#base, this.#headerHash, sessionNonce, this.parts);
  }

  /** The index of the next part to seal. */
  get next(): number {
    return this.#next;
  }

  /** Passes over parts: this session never seals them. */
  skipTo(part: number): void {
    if (part < this.#next) throw new TipboxError("internal");
    this.#next = part;
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
    return this.#seal(first, plaintext, allocate(sealedBodySize(plaintext.length), room));
  }

  async #seal(first: number, plaintext: Bytes, sealed: Bytes): Promise<Bytes> {
    const count = partsOf(plaintext.length);
    const hashing: Promise<void>[] = [];
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let i = next++; i < count; i = next++) {
        const part = plaintext.subarray(i * PART_SIZE, (i + 1) * PART_SIZE);
        const place = sealed.subarray(i * ENVELOPE_PART_SIZE, (i + 1) * ENVELOPE_PART_SIZE);
        place.set(this.sessionNonce);
        const encrypted = await seal(this.#key, partNonce(first + i, first + i === this.parts - 1), part);
        place.set(encrypted, SESSION_NONCE_SIZE);
        release(encrypted);
        hashing.push(this.#hash(first + i, place)); // while the next parts are sealed
      }
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, lane));
    } finally {
      next = count; // a lane that fails ends the others
      await Promise.all(hashing);
    }
    return sealed;
  }

  async #hash(number: number, part: Bytes): Promise<void> {
    this.hashes[number] = new Uint8Array(await crypto.subtle.digest("SHA-256", part));
  }
}

/** Opens the parts of one body, in any order. */
export class BodyOpener {
  readonly #base: CryptoKey;
  readonly #headerHash: Bytes;
  /** The key of the last session nonce only: whoever wrote the body could change nonces at each part. */
  #session: { readonly nonce: Bytes; readonly key: CryptoKey } | null = null;
  readonly parts: number;

  private constructor(
    base: CryptoKey,
    headerHash: Bytes,
    readonly size: number,
  ) {
    this.#base = base;
    this.#headerHash = headerHash;
    this.parts = partsOf(size);
  }

  /** An opener for the body under `bodyKey`, `size` padded bytes long. */
  static async create(headerHash: Bytes, bodyKey: Bytes, size: number): Promise<BodyOpener> {
    return new BodyOpener(await derivingKey(bodyKey), headerHash, size);
  }

  /** Bytes of a sealed part. */
  sealedSize(counter: number): number {
    return sealedBodyPartSize(this.size, counter);
  }

  /** Opens one part. Throws `tampered`. */
  async open(counter: number, sealed: Bytes): Promise<Bytes> {
    const nonce = sealed.slice(0, SESSION_NONCE_SIZE);
    if (this.#session === null || !equal(this.#session.nonce, nonce)) {
      this.#session = { nonce, key: await partKey(this.#base, this.#headerHash, nonce) };
    }
    const last = counter === this.parts - 1;
    return open(this.#session.key, partNonce(counter, last), sealed.slice(SESSION_NONCE_SIZE));
  }
}
