// The toll of an opening: work that is proved when many want to send at once (docs/protocol.md, section 3.2).

import { demand } from "../errors.js";
import { type Bytes, concat, fromBase64, toBase64, utf8 } from "./base/bytes.js";
import { sha256 } from "./base/primitives.js";

export const PUZZLES = 16;
/** The efforts that there are; each is worth about as many seconds of a phone. */
export const LADDER: readonly number[] = [0, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 150, 300, 600];
/** The highest effort that is paid without asking the source. */
export const ASKED = 60;
const ITERATIONS = 500;
/** Mean tries of one puzzle at effort 1. */
const TRIES = 80;
const SEED_SIZE = 32;
const LARGEST_U32 = 2 ** 32 - 1;
/** Calls into WebCrypto at a time: browsers run them beside one another. */
const OUTSTANDING = 4;

/** An answer: the hour of its seed, the effort that it claims, and the number that solves each puzzle. */
export interface Proof {
  readonly hour: number;
  readonly effort: number;
  readonly nonces: readonly number[];
}

/** How far a search has come: puzzles that are solved, and tries in all and since the last of them. */
export interface Search {
  readonly solved: number;
  readonly tries: number;
  readonly since: number;
}

/** The largest number that solves a puzzle at this effort. */
export function boundOf(effort: number): number {
  return Math.floor(LARGEST_U32 / (TRIES * effort));
}

/** Mean tries of one puzzle. */
export function meanTries(effort: number): number {
  return TRIES * effort;
}

/** The value of the header `Tipbox-Toll`. */
export function encodeProof({ hour, effort, nonces }: Proof): string {
  const letters = toBase64(concat(...nonces.map(u32)));
  return `1.${hour}.${effort}.${letters.replace(/\+/g, "-").replace(/\//g, "_").replace(/[=]/g, "")}`;
}

/** The inverse of `encodeProof`; throws `malformed` for every other spelling. */
export function parseProof(written: string): Proof {
  const found = /^1\.(0|[1-9][0-9]{0,9})\.([1-9][0-9]{0,2})\.([A-Za-z0-9_-]{86})$/.exec(written);
  const [, hour, effort, letters] = found ?? [];
  demand(hour !== undefined && effort !== undefined && letters !== undefined, "malformed");
  const bytes = fromBase64(`${letters.replace(/-/g, "+").replace(/_/g, "/")}==`);
  demand(bytes !== null && LADDER.includes(Number(effort)), "malformed");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const nonces = Array.from({ length: PUZZLES }, (_, i) => view.getUint32(4 * i));
  const proof = { hour: Number(hour), effort: Number(effort), nonces };
  demand(encodeProof(proof) === written, "malformed");
  return proof;
}

/** The puzzles of one upload: bound to the seed of an hour (32 bytes) and to its draft token (32 bytes). */
export class Puzzles {
  readonly #key: CryptoKey;
  /** For each puzzle, the number to try next, and what was found: the number and what it makes. */
  readonly #next = new Array<number>(PUZZLES).fill(0);
  readonly #found: (readonly [nonce: number, value: number] | undefined)[] = new Array(PUZZLES).fill(undefined);
  #tries = 0;

  private constructor(key: CryptoKey) {
    this.#key = key;
  }

  static async of(seed: Bytes, token: Bytes): Promise<Puzzles> {
    demand(seed.length === SEED_SIZE, "malformed");
    const password = concat(utf8("tipbox toll 1"), seed, await sha256(token));
    return new Puzzles(await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]));
  }

  /** Whether a proof holds. */
  async hold({ effort, nonces }: Proof): Promise<boolean> {
    const values = await Promise.all(nonces.map((nonce, puzzle) => this.#trial(puzzle, nonce)));
    return values.every((value) => value <= boundOf(effort));
  }

  /**
   * The least number for each puzzle, so that the answer tells nothing of the device. To go on for a higher effort
   * loses nothing: numbers that were too large before are so still.
   */
  async solve(effort: number, onSearch: (search: Search) => void, signal?: AbortSignal): Promise<number[]> {
    const bound = boundOf(effort);
    const nonces: number[] = [];
    for (let puzzle = 0; puzzle < PUZZLES; puzzle++) {
      const begun = this.#tries;
      let found = this.#found[puzzle];
      while (found === undefined || found[1] > bound) {
        signal?.throwIfAborted();
        found = await this.#some(puzzle, bound);
        onSearch({ solved: puzzle, tries: this.#tries, since: this.#tries - begun });
      }
      nonces.push(found[0]);
      onSearch({ solved: puzzle + 1, tries: this.#tries, since: 0 });
    }
    return nonces;
  }

  /** Tries some numbers; the least of them that solves the puzzle. */
  async #some(puzzle: number, bound: number): Promise<readonly [number, number] | undefined> {
    const first = this.#next[puzzle] ?? 0;
    demand(first + OUTSTANDING <= LARGEST_U32, "internal");
    const tried = Array.from({ length: OUTSTANDING }, (_, i) => this.#trial(puzzle, first + i));
    const values = await Promise.all(tried);
    this.#tries += OUTSTANDING;
    const place = values.findIndex((one) => one <= bound);
    // What lies behind a number that was found is looked at again when the effort rises.
    this.#next[puzzle] = first + (place < 0 ? OUTSTANDING : place + 1);
    const value = values[place];
    if (value === undefined) return undefined;
    const found = [first + place, value] as const;
    this.#found[puzzle] = found;
    return found;
  }

  async #trial(puzzle: number, nonce: number): Promise<number> {
    const salt = concat(u32(puzzle), u32(nonce));
    const algorithm = { name: "PBKDF2", hash: "SHA-256", salt, iterations: ITERATIONS };
    return new DataView(await crypto.subtle.deriveBits(algorithm, this.#key, 32)).getUint32(0);
  }
}

function u32(value: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
