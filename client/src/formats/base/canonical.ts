// Canonical JSON (docs/format.md, section 1): each value has exactly one encoding, so signatures and hashes are
// unambiguous.

import { demand, TipboxError } from "../../errors.js";
import { type Bytes, equal, fromUtf8, utf8 } from "./bytes.js";
import { MAX_JSON_DEPTH } from "./limits.js";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}

/** `compact` has no white space; `file` is indented by two and ends in a line feed. */
export type Form = "compact" | "file";

/** Whether a value is an object: neither an array nor null. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value is an array. */
export function isArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

function text(value: Json, form: Form, depth: number): string {
  demand(depth <= MAX_JSON_DEPTH, "malformed");
  if (typeof value === "number") {
    demand(Number.isSafeInteger(value), "malformed");
    return String(value);
  }
  if (typeof value === "string") {
    // JSON.stringify escapes as the format asks, but would also escape lone surrogates.
    demand(!/\p{Surrogate}/u.test(value), "malformed");
    return JSON.stringify(value);
  }
  if (value === null || typeof value === "boolean") return String(value);
  const [open, close] = isArray(value) ? "[]" : "{}";
  const members = isArray(value)
    ? value.map((member) => text(member, form, depth + 1))
    : Object.keys(value)
        .sort()
        .map((name) => {
          demand(/^[\0-\x7f]*$/.test(name), "malformed");
          const colon = form === "file" ? ": " : ":";
          return JSON.stringify(name) + colon + text((value as JsonObject)[name] ?? null, form, depth + 1);
        });
  if (form === "compact" || members.length === 0) return `${open}${members.join(",")}${close}`;
  const indent = "  ".repeat(depth);
  return `${open}\n${indent}${members.join(`,\n${indent}`)}\n${indent.slice(2)}${close}`;
}

/** The canonical bytes of a value. Throws `malformed` for what canonical JSON cannot hold. */
export function encode(value: Json, form: Form = "compact"): Bytes {
  return utf8(text(value, form, 1) + (form === "file" ? "\n" : ""));
}

/** The value of canonical bytes. Throws `malformed` unless encoding it again gives the same bytes. */
export function decode(bytes: Bytes, form: Form = "compact"): Json {
  const source = fromUtf8(bytes);
  demand(source !== null, "malformed");
  let value: Json;
  try {
    value = JSON.parse(source) as Json;
  } catch {
    throw new TipboxError("malformed");
  }
  demand(equal(encode(value, form), bytes), "malformed");
  return value;
}
