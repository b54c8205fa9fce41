// The source's access code (docs/format.md, section 3): one integer, and what follows from it.

import { demand, TipboxError } from "../errors.js";
import { type Bytes, uint, utf8 } from "./base/bytes.js";
import * as labels from "./base/labels.js";
import { ACCESS_CODE_DIGITS, ROOT_ROUNDS } from "./base/limits.js";
import { hkdf, pbkdf2, random, sha256, xwingPublic } from "./base/primitives.js";
import type { WordList } from "./wordlists.js";

const VERSION = 1n;
const RANDOM_BITS = 100n;
const CHECK_BITS = 12n;
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

/** Any decimal digit of Unicode as ASCII: such digits stand in runs of ten, from zero to nine. */
export function asciiDigit(char: string): string {
  let start = char.codePointAt(0) ?? 0;
  const end = start;
  while (/^\p{Nd}$/u.test(String.fromCodePoint(start - 1))) start--;
  return String((end - start) % 10);
}

/**
 * The access code that a person typed: digits, or words of one of `lists`. Throws `bad-passphrase`, and never says what
 * was typed.
 */
export async function parse(typed: string, lists: readonly WordList[] = []): Promise<Bytes> {
  demand(typed.length <= 2 * MAX_TYPED && [...typed].length <= MAX_TYPED, "bad-passphrase");
  const figures = typed.replace(/[\s\x1c-\x1f\x85\-._]/g, "").replace(/\p{Nd}/gu, asciiDigit);
  if (/^[0-9]*$/.test(figures)) {
    const accessCode = figures.length === ACCESS_CODE_DIGITS ? await checked(BigInt(figures)) : null;
    demand(accessCode !== null, "bad-passphrase");
    return accessCode;
  }
  for (const list of lists) {
    const numbers = list.divide(typed).map((word) => list.find(word));
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

/** What follows from an access code; `root` must be wiped when no pair key is needed any more. */
export interface Secrets {
  readonly root: Bytes;
  readonly mailboxToken: Bytes;
  readonly mailboxAddress: Bytes;
  readonly replySeed: Bytes;
  readonly replyPublic: Bytes;
}

/** Derives the secrets; takes some tenths of a second. */
export async function secrets(accessCode: Bytes): Promise<Secrets> {
  const root = await pbkdf2(accessCode, utf8(labels.ROOT), ROOT_ROUNDS);
  const mailboxToken = await hkdf(root, EMPTY, labels.MAILBOX_TOKEN);
  const replySeed = await hkdf(root, EMPTY, labels.REPLY_KEY);
  return {
    root,
    mailboxToken,
    mailboxAddress: await sha256(mailboxToken),
    replySeed,
    replyPublic: await xwingPublic(replySeed),
  };
}

/** Overwrites the secrets. */
export function wipe(from: Secrets): void {
  for (const secret of [from.root, from.mailboxToken, from.replySeed]) secret.fill(0);
}

/** The key that a source and one organisation share. */
export function pairKey(root: Bytes, organisation: Bytes): Promise<Bytes> {
  return hkdf(root, EMPTY, labels.PAIR_KEY, organisation);
}

/** The check digits of an Envelope for one organisation: 20 digits in groups of five. */
export async function checkDigits(pair: Bytes, headerHash: Bytes): Promise<string> {
  const number = toInteger(await hkdf(pair, headerHash, labels.CHECK_WORDS)) % 10n ** 20n;
  return group(number.toString().padStart(20, "0"), 5);
}
