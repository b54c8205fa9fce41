// Padding: the sizes that an observer may see (docs/format.md, sections 4.3 and 4.4).

import { LETTER_BUCKETS, PART_SIZE, SESSION_NONCE_SIZE, TAG_SIZE } from "./limits.js";

/** Padmé (Nikitin et al., PoPETs 2019): the size that `size` bytes are padded to. Exact up to 2^52. */
export function padme(size: number): number {
  if (size < 2) return size;
  const exponent = size.toString(2).length - 1;
  const mantissa = exponent.toString(2).length;
  const step = 2 ** Math.max(0, exponent - mantissa);
  return Math.ceil(size / step) * step;
}

/** The size of a letter's plaintext that holds `size` bytes. */
export function letterSize(size: number): number {
  return LETTER_BUCKETS.find((bucket) => size <= bucket) ?? padme(size);
}

/** How many parts a padded body has. */
export function partsOf(bodySize: number): number {
  return Math.ceil(bodySize / PART_SIZE);
}

/** The size of a body on the wire: padded, sealed part by part, each behind its session nonce. */
export function sealedBodySize(bodySize: number): number {
  return bodySize + partsOf(bodySize) * (SESSION_NONCE_SIZE + TAG_SIZE);
}

/** The size of one part of a body on the wire. */
export function sealedBodyPartSize(bodySize: number, index: number): number {
  return SESSION_NONCE_SIZE + Math.min(PART_SIZE, bodySize - index * PART_SIZE) + TAG_SIZE;
}
