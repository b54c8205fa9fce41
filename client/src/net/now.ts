// What changes from day to day, in one answer for everybody (docs/protocol.md, section 2.1).

import { demand, TipboxError } from "../errors.js";
import { MAX_NOW } from "../formats/base/limits.js";
import { Connection, type ConnectionOptions, parseJson } from "./http.js";

export interface Now {
  /** Files of manifests, as text; nothing is known of them yet. */
  readonly manifests: readonly string[];
  /** Ids in hex of all organisations whose replies the server may hold; they need no trust. */
  readonly named: readonly string[];
  /** What openings cost. */
  readonly toll: unknown;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

/** Asks until there is an answer. Throws `limit`, and `internal` for an answer that is none of the protocol. */
export async function askNow(url: string, options: ConnectionOptions): Promise<Now> {
  const connection = new Connection(null, options);
  return connection.retry(async () => {
    const answer = await connection.request({ method: "GET", url });
    demand(answer.length <= MAX_NOW, "limit");
    const value = parseJson(answer);
    if (typeof value === "object" && value !== null && "manifests" in value && "named" in value && "toll" in value) {
      const { manifests, named, toll } = value;
      if (isTexts(manifests) && isTexts(named)) return { manifests, named, toll };
    }
    throw new TipboxError("internal");
  });
}
