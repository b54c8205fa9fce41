// Key manifests: what an organisation shows the world (docs/format.md, section 2).

import { demand } from "../errors.js";
import { type Bytes, toHex, utf8 } from "./base/bytes.js";
import { decode, encode, type Json, type JsonObject } from "./base/canonical.js";
import { hasUnseen } from "./base/characters.js";
import { type Day, parse as parseDay } from "./base/days.js";
import * as fields from "./base/fields.js";
import { keyId, organisationId } from "./base/ids.js";
import * as labels from "./base/labels.js";
import {
  ID_SIZE,
  KEY_SIZE,
  MAX_LANGUAGES,
  MAX_MANIFEST,
  MAX_MANIFEST_DAYS,
  MAX_ORGANISATION_NAME,
  MAX_RECEIVING_KEY_DAYS,
  MAX_RECEIVING_KEYS,
  MAX_SERIAL,
  SIGNATURE_SIZE,
  SKEW_DAYS,
  VERSION,
  XWING_PUBLIC_SIZE,
} from "./base/limits.js";
import { isEd25519, isXWing, verify } from "./base/primitives.js";

const MEMBERS = [
  "country",
  "critical",
  "desk",
  "from",
  "identity",
  "keys",
  "languages",
  "name",
  "organisation",
  "serial",
  "signature",
  "until",
  "version",
] as const;

/** A public X-Wing key, good from `from` and until the day before `until`. */
export interface ReceivingKey {
  readonly id: Bytes;
  readonly publicKey: Bytes;
  readonly from: Day;
  readonly until: Day;
}

/** A manifest whose structure and signature were checked; days are checked by `check`. */
export interface Manifest {
  /** The organisation's id. */
  readonly id: Bytes;
  readonly organisation: string;
  readonly name: string;
  readonly country: string;
  readonly languages: readonly string[];
  readonly identity: Bytes;
  readonly desk: Bytes;
  readonly from: Day;
  readonly until: Day;
  readonly serial: readonly [generation: number, index: number];
  readonly keys: readonly ReceivingKey[];
  readonly critical: readonly string[];
  /** Members that this version does not know: covered by the signature, passed over. */
  readonly extra: JsonObject;
  readonly signature: Bytes;
}

async function parseKey(value: Json): Promise<ReceivingKey> {
  const member = fields.members(value, ["from", "id", "public", "until"]);
  const key = {
    id: fields.hex(member["id"], ID_SIZE),
    publicKey: fields.base64(member["public"], XWING_PUBLIC_SIZE),
    from: parseDay(member["from"]),
    until: parseDay(member["until"]),
  };
  const span = key.until - key.from;
  demand(0 < span && span <= MAX_RECEIVING_KEY_DAYS, "malformed");
  demand(isXWing(key.publicKey), "malformed");
  demand(toHex(await keyId(key.publicKey)) === toHex(key.id), "malformed");
  return key;
}

/** Reads a manifest's file and verifies its signature. */
export async function parse(file: Bytes): Promise<Manifest> {
  demand(file.length <= MAX_MANIFEST, "limit");
  const value = fields.members(decode(file, "file"), MEMBERS, null);
  const serial = fields.list(value["serial"]);
  const identity = fields.base64(value["identity"], KEY_SIZE);
  const listed = fields.list(value["keys"]);
  demand(listed.length <= MAX_RECEIVING_KEYS, "malformed");
  const manifest: Manifest = {
    id: await organisationId(identity),
    organisation: fields.text(value["organisation"]),
    name: fields.text(value["name"]),
    country: fields.text(value["country"]),
    languages: fields.list(value["languages"]).map(fields.language),
    identity,
    desk: fields.base64(value["desk"], KEY_SIZE),
    from: parseDay(value["from"]),
    until: parseDay(value["until"]),
    serial: [fields.integer(serial[0], 1, MAX_SERIAL), fields.integer(serial[1], 1, MAX_SERIAL)],
    keys: await Promise.all(listed.map(parseKey)),
    critical: fields.list(value["critical"]).map(fields.text),
    extra: Object.fromEntries(Object.entries(value).filter(([name]) => !MEMBERS.some((known) => known === name))),
    signature: fields.base64(value["signature"], SIGNATURE_SIZE),
  };
  const version = fields.integer(value["version"], -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const nameSize = utf8(manifest.name).length;
  const span = manifest.until - manifest.from;
  demand(isEd25519(identity) && isEd25519(manifest.desk), "malformed");
  demand(serial.length === 2, "malformed");
  demand(/^[a-z0-9-]{1,32}$/.test(manifest.organisation), "malformed");
  demand(1 <= nameSize && nameSize <= MAX_ORGANISATION_NAME && !hasUnseen(manifest.name), "malformed");
  demand(/^(?:[A-Z]{2})?$/.test(manifest.country), "malformed");
  demand(manifest.languages.length <= MAX_LANGUAGES, "malformed");
  demand(0 < span && span <= MAX_MANIFEST_DAYS, "malformed");
  demand(manifest.keys.length >= 1, "malformed");
  demand(
    manifest.keys.every((key, i) => i === 0 || key.from > (manifest.keys[i - 1]?.from ?? key.from)),
    "malformed",
  );
  demand(new Set(manifest.keys.map((key) => toHex(key.id))).size === manifest.keys.length, "malformed");
  demand(version === VERSION, "version");
  demand(manifest.critical.length === 0, "unknown-critical");
  const { signature: _, ...unsigned } = value;
  await verify(labels.MANIFEST, manifest.signature, identity, encode(unsigned));
  return manifest;
}

/** Throws `expired` or `not-yet-valid` unless the manifest is good on this day. */
export function check(manifest: Manifest, today: Day): void {
  demand(today < manifest.until, "expired");
  demand(today >= manifest.from - SKEW_DAYS, "not-yet-valid");
}

/** Throws `identity-changed` or `older-serial` unless `manifest` may take the place of `older`. */
export function checkReplaces(manifest: Manifest, older: Manifest): void {
  demand(toHex(manifest.identity) === toHex(older.identity), "identity-changed");
  const [generation, index] = manifest.serial;
  const [olderGeneration, olderIndex] = older.serial;
  demand(generation > olderGeneration || (generation === olderGeneration && index > olderIndex), "older-serial");
}

/** The receiving key to seal to: the latest that has begun. Throws `no-current-key`. */
export function currentKey(manifest: Manifest, today: Day): ReceivingKey {
  const begun = manifest.keys.filter((key) => key.from <= today && today < key.until);
  const soon = manifest.keys.filter((key) => key.from - SKEW_DAYS <= today && today < key.from);
  const current = begun.at(-1) ?? soon[0];
  demand(current !== undefined, "no-current-key");
  return current;
}
