// The primitives of docs/format.md, section 1, each as one call into WebCrypto (those of HPKE are in hpke.ts). Nothing
// is implemented here, and nothing replaces what a browser lacks.

import { demand, TipboxError } from "../../errors.js";
import { type Bytes, concat, toHex, utf8 } from "./bytes.js";
import {
  KEY_SIZE,
  MLKEM_COEFFICIENTS_SIZE,
  MLKEM_MODULUS,
  MLKEM_PUBLIC_SIZE,
  SIGNATURE_SIZE,
  TAG_SIZE,
} from "./limits.js";

/** y of the Ed25519 points of small order, and every y that is not canonical; the sign bit is cleared. */
const ED25519_REFUSED =
  /^(?:0[01](?:00){31}|(?:e[c-f]|f.)(?:ff){30}7f|26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05|c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a)$/;
/** u of the X25519 points of small order, in every spelling; the highest bit, which X25519 ignores, is cleared. */
const X25519_REFUSED =
  /^(?:0[01](?:00){31}|e[c-e](?:ff){30}7f|e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800|5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157)$/;

/** Random bytes from the browser's generator. */
export function random(size: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(size));
}

/** SHA-256 of the pieces joined. */
export async function sha256(...pieces: readonly Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...pieces)));
}

/** A handle of a key to derive from, which cannot be exported from WebCrypto. */
export function derivingKey(key: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", key, "HKDF", false, ["deriveBits"]);
}

/** 32 bytes of HKDF-SHA256 (RFC 5869) with a label, and context after it, as `info`. */
export async function hkdf(
  key: Bytes | CryptoKey,
  salt: Uint8Array,
  label: string,
  ...context: readonly Uint8Array[]
): Promise<Bytes> {
  const base = key instanceof Uint8Array ? await derivingKey(key) : key;
  const info = concat(utf8(label), ...context);
  const algorithm = { name: "HKDF", hash: "SHA-256", salt: concat(salt), info };
  return new Uint8Array(await crypto.subtle.deriveBits(algorithm, base, KEY_SIZE * 8));
}

/** 32 bytes of HMAC-SHA-256 (RFC 2104). */
export async function hmac(key: Bytes, message: Bytes): Promise<Bytes> {
  const handle = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", handle, message));
}

/** 32 bytes of PBKDF2-HMAC-SHA-256. */
export async function pbkdf2(password: Bytes, salt: Bytes, iterations: number): Promise<Bytes> {
  const base = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
  const algorithm = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  return new Uint8Array(await crypto.subtle.deriveBits(algorithm, base, KEY_SIZE * 8));
}

/** A handle of an AES-256-GCM key, which cannot be exported from WebCrypto. */
export function aesKey(key: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt", "decrypt"]);
}

/** AES-256-GCM, no AAD: ciphertext and 16-byte tag. */
export async function seal(key: CryptoKey, nonce: Bytes, plaintext: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, key, plaintext));
}

/** What `seal` sealed. Throws `tampered` when it does not open. */
export async function open(key: CryptoKey, nonce: Bytes, sealed: Bytes): Promise<Bytes> {
  demand(sealed.length >= TAG_SIZE, "tampered");
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: nonce }, key, sealed));
  } catch {
    throw new TipboxError("tampered");
  }
}

/** The hex of 32 bytes with the highest bit of the last one cleared. */
function withoutSign(encoded: Bytes): string {
  const copy = encoded.slice();
  copy[KEY_SIZE - 1] = (copy[KEY_SIZE - 1] ?? 0) & 0x7f;
  return toHex(copy);
}

/** Whether 32 bytes are an Ed25519 key or R that is neither of small order nor a second spelling of a point. */
export function isEd25519(encoded: Bytes): boolean {
  return !ED25519_REFUSED.test(withoutSign(encoded));
}

/** Whether all coefficients of an ML-KEM key, two in three bytes, are below the modulus (FIPS 203, 7.2). */
function isMlkem(key: Bytes): boolean {
  for (let at = 0; at < MLKEM_COEFFICIENTS_SIZE; at += 3) {
    const [low = 0, middle = 0, high = 0] = key.subarray(at, at + 3);
    if ((low | ((middle & 15) << 8)) >= MLKEM_MODULUS || ((middle >> 4) | (high << 4)) >= MLKEM_MODULUS) return false;
  }
  return true;
}

/** Whether one can seal to these 1216 bytes: the modulus check of ML-KEM, and no X25519 key of small order. */
export function isXWing(publicKey: Bytes): boolean {
  return isMlkem(publicKey) && !X25519_REFUSED.test(withoutSign(publicKey.slice(MLKEM_PUBLIC_SIZE)));
}

/** Throws `bad-signature` unless `signature` is Ed25519 by `publicKey` over label ‖ 0x00 ‖ pieces. */
export async function verify(
  label: string,
  signature: Bytes,
  publicKey: Bytes,
  ...pieces: readonly Uint8Array[]
): Promise<void> {
  demand(signature.length === SIGNATURE_SIZE, "bad-signature");
  // Browsers differ over keys and R of small order, and over second spellings of points.
  demand(isEd25519(publicKey) && isEd25519(signature.slice(0, KEY_SIZE)), "bad-signature");
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
  } catch (error) {
    // Bytes that are not a key give DataError; a browser without Ed25519 gives NotSupportedError.
    const missing = error instanceof Error && error.name === "NotSupportedError";
    throw new TipboxError(missing ? "unsupported" : "bad-signature");
  }
  const valid = await crypto.subtle.verify(
    "Ed25519",
    key,
    signature,
    concat(utf8(label), new Uint8Array(1), ...pieces),
  );
  demand(valid, "bad-signature");
}
