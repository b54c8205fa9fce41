// What a source allows to be done with a tip (docs/format.md, section 4.3).

import { demand } from "../../errors.js";
import { utf8 } from "../base/bytes.js";
import type { Json, JsonObject } from "../base/canonical.js";
import { type Day, format as formatDay, parse as parseDay } from "../base/days.js";
import * as fields from "../base/fields.js";
import { MAX_CONSENT_LEVEL, MAX_NEVER, MAX_NEVER_TEXT } from "../base/limits.js";

export interface Consent {
  /** From 0, internal, to 5, public. */
  readonly level: number;
  readonly askMe: boolean;
  /** To whom it must never go, or for what it must never be used. */
  readonly never: readonly string[];
  /** The day on which it ends; `null` when it does not. */
  readonly until: Day | null;
}

/** As a letter holds it. */
export function encodeConsent({ level, askMe, never, until }: Consent): JsonObject {
  return { ask_me: askMe, level, never, until: until === null ? "" : formatDay(until) };
}

function parseException(value: Json): string {
  const exception = fields.text(value);
  const size = utf8(exception).length;
  demand(1 <= size && size <= MAX_NEVER_TEXT && !/[\0-\x1f\x7f-\x9f]/.test(exception), "malformed");
  return exception;
}

/** Reads the member of a letter. */
export function parseConsent(value: Json | undefined): Consent {
  const members = fields.members(value, ["ask_me", "level", "never", "until"]);
  const askMe = members["ask_me"];
  demand(typeof askMe === "boolean", "malformed");
  const never = fields.list(members["never"]);
  demand(never.length <= MAX_NEVER, "malformed");
  const until = members["until"];
  return {
    level: fields.integer(members["level"], 0, MAX_CONSENT_LEVEL),
    askMe,
    never: never.map(parseException),
    until: until === "" ? null : parseDay(until),
  };
}
