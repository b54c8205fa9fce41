// The source's access code (docs/format.md, section 3): one integer, and what follows from it.

import { demand, TipboxError } from "../errors.js";
import { type Bytes, compare, uint, utf8 } from "./base/bytes.js";
import { asciiDigits, divide } from "./base/characters.js";
import * as labels from "./base/labels.js";
import { ACCESS_CODE_DIGITS, MAILBOX_TOKENS, ROOT_ROUNDS } from "./base/limits.js";
import { hkdf, pbkdf2, random, sha256 } from "./base/primitives.js";
import type { WordList } from "./wordlists.js";

const VERSION = 1n;
const RANDOM_BITS = 100n;
const CHECK_BITS = 12n;
/** What every access code lies between. */
export const BOUNDS = [
  VERSION << (RANDOM_BITS + CHECK_BITS),
  ((VERSION + 1n) << (RANDOM_BITS + CHECK_BITS)) - 1n,
] as const;
const MAX_TYPED = 1024;
const GROUP = 6;
const EMPTY = new Uint8Array(0);

function toBytes(value: bigint, size: number): Bytes {
  const hex = value.toString(16).padStart(size * 2, "0");
  return Uint8Array.from({ length: size }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

function toInteger(bytes: Bytes): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

async function check(secret: bigint): Promise<bigint> {
  const hash = await sha256(utf8(labels.PASSPHRASE_CHECK), uint(Number(VERSION), 1), toBytes(secret, 13));
  return toInteger(hash.slice(0, 2)) >> 4n;
}

async function fromSecret(secret: bigint): Promise<Bytes> {
  return toBytes((((VERSION << RANDOM_BITS) | secret) << CHECK_BITS) | (await check(secret)), 16);
}

/** A new access code: 16 bytes that hold 100 random bits. */
export function generate(): Promise<Bytes> {
  return fromSecret(toInteger(random(13)) >> 4n);
}

/** The access code for people: 36 digits in six groups of six. */
export function digits(accessCode: Bytes): string {
  return group(toInteger(accessCode).toString().padStart(ACCESS_CODE_DIGITS, "0"), GROUP);
}

/** The access code for people, in the words of a list. */
export function words(accessCode: Bytes, list: WordList): string[] {
  return list.spell(toInteger(accessCode));
}

function group(text: string, size: number): string {
  return (text.match(new RegExp(`.{${size}}`, "g")) ?? []).join(" ");
}

/**
 * The access code that a person typed: digits, or words of one of `lists`. Throws `bad-passphrase`, and never says what
 * was typed.
 */
export async function parse(typed: string, lists: readonly WordList[] = []): Promise<Bytes> {
  demand(typed.length <= 2 * MAX_TYPED && [...typed].length <= MAX_TYPED, "bad-passphrase");
  const text = asciiDigits(typed);
  const figures = divide(text).join("");
  if (/^[0-9]*$/.test(figures)) {
    const accessCode = figures.length === ACCESS_CODE_DIGITS ? await checked(BigInt(figures)) : null;
    demand(accessCode !== null, "bad-passphrase");
    return accessCode;
  }
  for (const list of lists) {
    const numbers = list.divide(text).map((word) => list.find(word));
    const known = numbers.filter((number) => number !== null);
    if (known.length !== list.length || numbers.length !== list.length) continue;
    const accessCode = await checked(list.value(known));
    if (accessCode !== null) return accessCode;
  }
  throw new TipboxError("bad-passphrase");
}

/** The access code that is this integer, or `null` when none is. */
async function checked(value: bigint): Promise<Bytes | null> {
  const accessCode = await fromSecret((value >> CHECK_BITS) & ((1n << RANDOM_BITS) - 1n));
  return toInteger(accessCode) === value ? accessCode : null;
}

/** The root of all that follows from an access code; takes some tenths of a second. It must be wiped. */
export function rootOf(accessCode: Bytes): Promise<Bytes> {
  return pbkdf2(accessCode, utf8(labels.ROOT), ROOT_ROUNDS);
}

/** The key that a source and one organisation share. */
export function pairKey(root: Bytes, organisation: Bytes): Promise<Bytes> {
  return hkdf(root, EMPTY, labels.PAIR_KEY, organisation);
}

/** What opens the mailbox in which an organisation answers. */
export function mailboxToken(root: Bytes, organisation: Bytes): Promise<Bytes> {
  return hkdf(root, EMPTY, labels.MAILBOX_TOKEN, organisation);
}

/** What names that mailbox. */
export async function mailboxAddress(root: Bytes, organisation: Bytes): Promise<Bytes> {
  return sha256(await mailboxToken(root, organisation));
}

/** What stands in a request for a mailbox of this organisation beside tokens; `number` counts from 0. */
export function mailboxDecoy(root: Bytes, organisation: Bytes, number: number): Promise<Bytes> {
  return hkdf(root, EMPTY, labels.MAILBOX_DECOY, organisation, uint(number, 1));
}

/** What opens the capsules of an access code, and names their places. */
export function resumeSecret(root: Bytes): Promise<Bytes> {
  return hkdf(root, EMPTY, labels.RESUME);
}

/** What asks for the capsule at this place, 0 to 3; it lies under SHA-256 of it. */
export function placeToken(resume: Bytes, number: number): Promise<Bytes> {
  return hkdf(resume, EMPTY, labels.PLACE, uint(number, 1));
}

/** A token, and the organisation whose mailbox it opens; `null` for a decoy. */
export interface RequestToken {
  readonly token: Bytes;
  readonly organisation: Bytes | null;
}

/**
 * The tokens of one request for the mailboxes of these organisations (1 to 32), ascending. Decoys of the lowest id fill
 * it up: equal requests are equal, and those for different single organisations share nothing.
 */
export async function mailboxRequest(root: Bytes, organisations: readonly Bytes[]): Promise<RequestToken[]> {
  const ascending = [...organisations].sort(compare);
  const [lowest] = ascending;
  demand(lowest !== undefined && ascending.length <= MAILBOX_TOKENS, "limit");
  const own = ascending.map(async (organisation) => ({ token: await mailboxToken(root, organisation), organisation }));
  const decoys = Array.from({ length: MAILBOX_TOKENS - ascending.length }, async (_, number) => ({
    token: await mailboxDecoy(root, lowest, number),
    organisation: null,
  }));
  const tokens: RequestToken[] = await Promise.all([...own, ...decoys]);
  return tokens.sort((one, other) => compare(one.token, other.token));
}
