// Reading members of canonical JSON objects: each reader returns a value of its type or throws `malformed`.

import { demand } from "../../errors.js";
import { type Bytes, fromBase64, fromHex } from "./bytes.js";
import { isArray, isObject, type Json, type JsonObject } from "./canonical.js";
import { MAX_LANGUAGE } from "./limits.js";

/** `value` as an object with all of `required`, and none but these and `optional` (`null`: any). */
export function members(
  value: Json | undefined,
  required: readonly string[],
  optional: readonly string[] | null = [],
): JsonObject {
  demand(isObject(value), "malformed");
  demand(
    required.every((name) => Object.hasOwn(value, name)),
    "malformed",
  );
  const known = (name: string): boolean => optional === null || required.includes(name) || optional.includes(name);
  demand(Object.keys(value).every(known), "malformed");
  return value;
}

/** Text. */
export function text(value: Json | undefined): string {
  demand(typeof value === "string", "malformed");
  return value;
}

/** A list. */
export function list(value: Json | undefined): readonly Json[] {
  demand(isArray(value), "malformed");
  return value;
}

/** An integer between `low` and `high`, both included. */
export function integer(value: Json | undefined, low: number, high: number): number {
  demand(typeof value === "number" && low <= value && value <= high, "malformed");
  return value;
}

/** Base64 of exactly `size` bytes. */
export function base64(value: Json | undefined, size: number): Bytes {
  const bytes = fromBase64(text(value));
  demand(bytes !== null && bytes.length === size, "malformed");
  return bytes;
}

/** Lower-case hex of exactly `size` bytes. */
export function hex(value: Json | undefined, size: number): Bytes {
  const bytes = fromHex(text(value));
  demand(bytes !== null && bytes.length === size, "malformed");
  return bytes;
}

/** A BCP 47 tag (its shape only). */
export function language(value: Json | undefined): string {
  const tag = text(value);
  demand(tag.length <= MAX_LANGUAGE && /^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*$/.test(tag), "malformed");
  return tag;
}
