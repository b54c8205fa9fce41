// Notices: what one organisation says on the pages for some days, in its words (docs/format.md, section 11.1).

import { demand } from "../errors.js";
import { type Bytes, utf8 } from "./base/bytes.js";
import { decode, encode, isObject } from "./base/canonical.js";
import { hasUnseen } from "./base/characters.js";
import { type Day, parse as parseDay } from "./base/days.js";
import * as fields from "./base/fields.js";
import * as labels from "./base/labels.js";
import {
  ID_SIZE,
  KEY_SIZE,
  MAX_LANGUAGES,
  MAX_NOTICE,
  MAX_NOTICE_DAYS,
  MAX_NOTICE_TEXT,
  SIGNATURE_SIZE,
  SKEW_DAYS,
  VERSION,
} from "./base/limits.js";
import { isEd25519, verify } from "./base/primitives.js";

const MEMBERS = ["desk", "from", "id", "kind", "signature", "text", "until", "version"] as const;

/** A notice whose structure was checked, and its signature by the key that it names; days are checked by `check`. */
export interface Notice {
  /** The id of the organisation. */
  readonly id: Bytes;
  /** The desk key that signed it: the organisation's, when its manifest names it. */
  readonly desk: Bytes;
  readonly from: Day;
  readonly until: Day;
  /** Its words by language. */
  readonly text: ReadonlyMap<string, string>;
}

/** Reads a notice's file and verifies its signature. */
export async function parse(file: Bytes): Promise<Notice> {
  demand(file.length <= MAX_NOTICE, "limit");
  const value = fields.members(decode(file, "file"), MEMBERS);
  demand(value["kind"] === "notice", "malformed");
  const id = fields.hex(value["id"], ID_SIZE);
  const from = parseDay(value["from"]);
  const until = parseDay(value["until"]);
  const { text } = value;
  demand(isObject(text), "malformed");
  const words = Object.entries(text).map(([tag, said]) => [fields.language(tag), fields.text(said)] as const);
  demand(1 <= words.length && words.length <= MAX_LANGUAGES, "malformed");
  for (const [, said] of words) {
    const size = utf8(said).length;
    demand(1 <= size && size <= MAX_NOTICE_TEXT && !said.split("\n").some(hasUnseen), "malformed");
  }
  const desk = fields.base64(value["desk"], KEY_SIZE);
  const signature = fields.base64(value["signature"], SIGNATURE_SIZE);
  demand(isEd25519(desk), "malformed");
  demand(0 < until - from && until - from <= MAX_NOTICE_DAYS, "malformed");
  const version = fields.integer(value["version"], -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  demand(version === VERSION, "version");
  const { signature: _, ...unsigned } = value;
  await verify(labels.NOTICE, signature, desk, encode(unsigned));
  return { id, desk, from, until, text: new Map(words) };
}

/** Throws `expired` or `not-yet-valid` unless the notice is shown on this day. */
export function check(notice: Notice, today: Day): void {
  demand(today < notice.until, "expired");
  demand(today >= notice.from - SKEW_DAYS, "not-yet-valid");
}
