// What servers and organisations write and the client only reads: their bytes, so that vectors can be encoded again.

import { type Bytes, concat, toBase64, toHex, uint } from "../../src/formats/base/bytes.js";
import { encode, type JsonObject } from "../../src/formats/base/canonical.js";
import { format as formatDay } from "../../src/formats/base/days.js";
import { LIST_SIZE, MAILBOX_MAGIC, VERSION } from "../../src/formats/base/limits.js";
import type { MailboxList } from "../../src/formats/mailbox_list.js";
import type { Manifest } from "../../src/formats/manifest.js";

/** The bytes of a manifest's file. */
export function encodeManifest(manifest: Manifest): Bytes {
  const value: JsonObject = {
    ...manifest.extra,
    country: manifest.country,
    critical: manifest.critical,
    desk: toBase64(manifest.desk),
    from: formatDay(manifest.from),
    identity: toBase64(manifest.identity),
    keys: manifest.keys.map((key) => ({
      from: formatDay(key.from),
      id: toHex(key.id),
      public: toBase64(key.publicKey),
      until: formatDay(key.until),
    })),
    languages: manifest.languages,
    name: manifest.name,
    organisation: manifest.organisation,
    serial: manifest.serial,
    signature: toBase64(manifest.signature),
    until: formatDay(manifest.until),
    version: VERSION,
  };
  return encode(value, "file");
}

/** The bytes of a list; entries in their order. */
export function encodeList({ entries, openings }: MailboxList): Bytes {
  const magic = Uint8Array.from(MAILBOX_MAGIC, (char) => char.charCodeAt(0));
  const table = entries.map(({ id, day, size, openingSize, place }) => {
    const long = new Uint8Array(8);
    new DataView(long.buffer).setBigUint64(0, BigInt(size));
    return concat(id, uint(day, 4), long, uint(openingSize, 4), uint(place, 1), new Uint8Array(3));
  });
  const fixed = [magic, uint(VERSION, 1), uint(0, 1), uint(entries.length, 2), uint(openings.length, 2), uint(0, 2)];
  const content = concat(...fixed, ...table, ...openings);
  const list = new Uint8Array(LIST_SIZE);
  list.set(content);
  return list;
}
