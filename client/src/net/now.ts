// What changes from day to day, in one answer for everybody (docs/protocol.md, section 2.1). The page asks for it, once
// for itself and the worker.

import { demand, TipboxError } from "../errors.js";
import { MAX_NOTICES, MAX_NOW } from "../formats/base/limits.js";

export interface Now {
  /** Files of manifests, as text; nothing is known of them yet. */
  readonly manifests: readonly string[];
  /** Ids in hex of all organisations whose replies the server may hold; they need no trust. */
  readonly named: readonly string[];
  /** Files of notices, as text; nothing is known of them yet. */
  readonly notices: readonly string[];
  /** What openings cost. */
  readonly toll: unknown;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

/** Reads an answer. Throws `limit`, and `internal` for one that is none of the protocol. */
export function readNow(text: string): Now {
  demand(text.length <= MAX_NOW, "limit");
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // none of the protocol
  }
  if (typeof value === "object" && value !== null && "manifests" in value && "named" in value && "toll" in value) {
    const { manifests, named, toll } = value;
    const notices = "notices" in value && isTexts(value.notices) ? value.notices.slice(0, MAX_NOTICES) : [];
    if (isTexts(manifests) && isTexts(named)) return { manifests, named, notices, toll };
  }
  throw new TipboxError("internal");
}
