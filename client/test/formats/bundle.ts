// Bundles: reading the file that crosses the air gap (docs/format.md, section 5). The server and the desk do this in
// Python; this second reader is there to hold the two to the page. No browser needs it, so page.ts and worker.ts never
// import it, and its labels and bounds stand here and not with theirs.

import { demand, TipboxError } from "../../src/errors.js";
import {
  type Bytes,
  compare,
  concat,
  equal,
  isZero,
  toBase64,
  toHex,
  uint,
  utf8,
} from "../../src/formats/base/bytes.js";
import { decode, encode, type Json, type JsonObject } from "../../src/formats/base/canonical.js";
import { type Day, format as formatDay, parse as parseDay } from "../../src/formats/base/days.js";
import * as fields from "../../src/formats/base/fields.js";
import {
  HASH_SIZE,
  ID_SIZE,
  KEY_SIZE,
  MAX_SLOTS,
  PART_SIZE,
  SIGNATURE_SIZE,
  TAG_SIZE,
  VERSION,
  XWING_PUBLIC_SIZE,
} from "../../src/formats/base/limits.js";
import { partsOf } from "../../src/formats/base/padding.js";
import { aesKey, hkdf, open, sha256, verify } from "../../src/formats/base/primitives.js";
import { partNonce } from "../../src/formats/envelopes/body.js";
import { hpkeOpen } from "./base/hpke_opening.js";
import { readEnvelope } from "./envelopes/envelope_opening.js";
import type { FindKey } from "./envelopes/slot_opening.js";

const BUNDLE_COMMITMENT = "tipbox/v1/bundle-commitment";
const BUNDLE_KEY = "tipbox/v1/bundle-key";
const BUNDLE_STREAM = "tipbox/v1/bundle-stream";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const BUNDLE_HEADER = 1280;
const BUNDLE_PREFIX = 112;
const MAX_INDEX_PARTS = 64;
const MAX_ITEMS = 4096;
const MAX_ITEM = 2 ** 40 + 2 ** 34;
const MAX_EFFORT = 7;
const SEALED_PART_SIZE = PART_SIZE + TAG_SIZE;
const INDEX_LENGTH = 4;
const AES_BLOCK = 16;

const INDEX_STREAM = 0;
const PADDING_STREAM = 0xff_ff_ff_fe;
const COPY_STREAM = 0xff_ff_ff_ff;

const magic = Uint8Array.from("\x89tipbdl\n", (char) => char.charCodeAt(0));

/** Outward: server to desk. Inward: desk to server. */
export type Direction = "out" | "in";
const DIRECTIONS: readonly (Direction | undefined)[] = [undefined, "out", "in"];
const KINDS: Readonly<Record<Direction, readonly string[]>> = {
  out: ["envelope", "report"],
  in: ["ack", "manifest", "reply"],
};
const LABELS: Readonly<Record<Direction, string>> = { out: "tipbox/v1/bundle-out", in: "tipbox/v1/bundle-in" };
const MEMBERS = [
  "day",
  "direction",
  "items",
  "organisation",
  "sender",
  "sequence",
  "server_key",
  "volume",
  "volumes",
] as const;
const OWN_MEMBERS: Readonly<Record<Direction, readonly string[]>> = { out: ["heads"], in: ["head"] };
const ITEM = ["hash", "kind", "size"];
const RECEIPT = ["day", "effort", "stamp"];

/** The size of a stream on the wire: sealed part by part, without session nonces. */
export function sealedSize(size: number): number {
  return size + partsOf(size) * TAG_SIZE;
}

/** The first 1,280 bytes. */
export interface BundleHeader {
  readonly direction: Direction;
  readonly indexParts: number;
  /** Id of the organisation (outward) or of the server (inward). */
  readonly reader: Bytes;
  readonly key: Bytes;
  readonly salt: Bytes;
  readonly commitment: Bytes;
  /** enc ‖ ciphertext of the bundle key. */
  readonly wrapped: Bytes;
}

function prefix(header: BundleHeader): Bytes {
  return concat(
    magic,
    uint(VERSION, 1),
    uint(DIRECTIONS.indexOf(header.direction), 1),
    uint(0, 2),
    uint(header.indexParts, 4),
    header.reader,
    header.key,
    header.salt,
    header.commitment,
  );
}

/** The header's bytes. */
export function encodeBundleHeader(header: BundleHeader): Bytes {
  return concat(prefix(header), header.wrapped);
}

/** Reads a header that takes up `bytes` exactly. */
export function parseBundleHeader(bytes: Bytes): BundleHeader {
  const start = bytes.slice(0, magic.length);
  demand(equal(start, magic.slice(0, start.length)), "not-tipbox");
  demand(bytes.length >= BUNDLE_HEADER, "truncated");
  demand(bytes.length === BUNDLE_HEADER, "trailing");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const indexParts = view.getUint32(12);
  const direction = DIRECTIONS[view.getUint8(9)];
  demand(view.getUint8(8) === VERSION, "version");
  demand(1 <= indexParts && indexParts <= MAX_INDEX_PARTS, "limit");
  demand(direction !== undefined && view.getUint16(10) === 0, "malformed");
  return {
    direction,
    indexParts,
    reader: bytes.slice(16, 32),
    key: bytes.slice(32, 48),
    salt: bytes.slice(48, 80),
    commitment: bytes.slice(80, BUNDLE_PREFIX),
    wrapped: bytes.slice(BUNDLE_PREFIX),
  };
}

/** What the server says of an Envelope in an outward Bundle. */
export interface Receipt {
  /** On which it was stored. */
  readonly day: Day;
  /** The class of what was paid for it. */
  readonly effort: number;
  /** The server's signature over the Envelope's hash and the day. */
  readonly stamp: Bytes;
}

/** One line of the index: kind, size in bytes, hash (the Envelope id, or SHA-256 of the bytes). */
export interface ItemEntry {
  readonly kind: string;
  readonly size: number;
  readonly hash: Bytes;
  /** Of items of kind `envelope`; `null` of all others. */
  readonly receipt: Receipt | null;
}

/** The head of an organisation's chain of custody as the server got it on `day`, and the server's stamp over it. */
export interface Head {
  readonly organisation: Bytes;
  readonly head: Bytes;
  readonly day: Day;
  readonly stamp: Bytes;
}

/** What a Bundle says of itself. */
export interface Index {
  readonly day: Day;
  readonly direction: Direction;
  readonly organisation: Bytes;
  /** Ed25519 key that signed. */
  readonly sender: Bytes;
  readonly sequence: number;
  readonly items: readonly ItemEntry[];
  /** The server's X-Wing key; empty when inward. */
  readonly serverKey: Bytes;
  readonly volume: number;
  readonly volumes: number;
  /** Of outward ones: those of all organisations, ascending by their ids. */
  readonly heads: readonly Head[];
  /** Of inward ones: the desk's own, or empty. */
  readonly head: Bytes;
}

function itemOf({ kind, size, hash, receipt }: ItemEntry): JsonObject {
  const said = receipt && { day: formatDay(receipt.day), effort: receipt.effort, stamp: toBase64(receipt.stamp) };
  return { kind, size, hash: toHex(hash), ...said };
}

function headOf({ organisation, head, day, stamp }: Head): JsonObject {
  return { day: formatDay(day), head: toHex(head), organisation: toHex(organisation), stamp: toBase64(stamp) };
}

/** The canonical JSON of an index. */
export function encodeIndex(index: Index): Bytes {
  return encode({
    day: formatDay(index.day),
    direction: index.direction,
    items: index.items.map(itemOf),
    organisation: toHex(index.organisation),
    sender: toBase64(index.sender),
    sequence: index.sequence,
    server_key: toBase64(index.serverKey),
    volume: index.volume,
    volumes: index.volumes,
    ...(index.direction === "out" ? { heads: index.heads.map(headOf) } : { head: toHex(index.head) }),
  });
}

function parseEntry(value: Json, direction: Direction): ItemEntry {
  const kind = fields.text(fields.members(value, ITEM, RECEIPT)["kind"]);
  demand(KINDS[direction].includes(kind), "malformed");
  const entry = fields.members(value, kind === "envelope" ? [...ITEM, ...RECEIPT] : ITEM);
  return {
    kind,
    size: fields.integer(entry["size"], 1, MAX_ITEM),
    hash: fields.hex(entry["hash"], HASH_SIZE),
    receipt:
      kind === "envelope"
        ? {
            day: parseDay(entry["day"]),
            effort: fields.integer(entry["effort"], 0, MAX_EFFORT),
            stamp: fields.base64(entry["stamp"], SIGNATURE_SIZE),
          }
        : null,
  };
}

function parseHead(value: Json): Head {
  const entry = fields.members(value, ["day", "head", "organisation", "stamp"]);
  return {
    organisation: fields.hex(entry["organisation"], ID_SIZE),
    head: fields.hex(entry["head"], HASH_SIZE),
    day: parseDay(entry["day"]),
    stamp: fields.base64(entry["stamp"], SIGNATURE_SIZE),
  };
}

/** Reads the index of a Bundle whose header says `direction`. */
export function parseIndex(bytes: Bytes, direction: Direction): Index {
  const value = fields.members(decode(bytes), [...MEMBERS, ...OWN_MEMBERS[direction]]);
  demand(value["direction"] === direction, "malformed");
  const items = fields.list(value["items"]);
  const heads = direction === "out" ? fields.list(value["heads"]) : [];
  demand(items.length <= MAX_ITEMS && heads.length <= MAX_SLOTS, "limit");
  const parsed = heads.map(parseHead);
  demand(
    parsed.every(({ organisation }, i) => i === 0 || compare(parsed[i - 1]?.organisation ?? magic, organisation) < 0),
    "malformed",
  );
  const volumes = fields.integer(value["volumes"], 1, Number.MAX_SAFE_INTEGER);
  const { head } = value;
  return {
    day: parseDay(value["day"]),
    direction,
    organisation: fields.hex(value["organisation"], ID_SIZE),
    sender: fields.base64(value["sender"], KEY_SIZE),
    sequence: fields.integer(value["sequence"], 1, Number.MAX_SAFE_INTEGER),
    items: items.map((item) => parseEntry(item, direction)),
    serverKey: fields.base64(value["server_key"], direction === "out" ? XWING_PUBLIC_SIZE : 0),
    volume: fields.integer(value["volume"], 1, volumes),
    volumes,
    heads: parsed,
    head: head === undefined || head === "" ? new Uint8Array(0) : fields.hex(head, HASH_SIZE),
  };
}

/**
 * What the sender of an index signed after the hash of the header. Inward, the list of items is left out: server and
 * desk share the key that authenticates it, so it proves nothing to others.
 */
function signedOf(index: Index): Bytes {
  return encodeIndex(index.direction === "out" ? index : { ...index, items: [] });
}

/** Signature and JSON out of the plaintext of an index. */
function splitIndex(plaintext: Bytes): readonly [signature: Bytes, json: Bytes] {
  const start = SIGNATURE_SIZE + INDEX_LENGTH;
  const end = start + new DataView(plaintext.buffer, plaintext.byteOffset).getUint32(SIGNATURE_SIZE);
  demand(partsOf(end) * PART_SIZE === plaintext.length, "malformed");
  demand(isZero(plaintext.subarray(end)), "malformed");
  return [plaintext.slice(0, SIGNATURE_SIZE), plaintext.slice(start, end)];
}

/** The file size of a Bundle whose contents take `size` bytes. */
export function volumeClass(size: number): number {
  if (size > GIB) return Math.ceil(size / GIB) * GIB;
  let volume = MIB;
  while (volume < size) volume *= 2;
  return volume;
}

/** The bundle key and the hash of the header: every stream's key comes from the two. */
interface BundleKeys {
  readonly key: Bytes;
  readonly headerHash: Bytes;
}

async function unwrap(header: BundleHeader, seed: Bytes): Promise<BundleKeys> {
  const key = await hpkeOpen(seed, concat(utf8(BUNDLE_KEY), prefix(header)), header.wrapped);
  demand(equal(await hkdf(key, header.salt, BUNDLE_COMMITMENT), header.commitment), "commitment");
  return { key, headerHash: await sha256(encodeBundleHeader(header)) };
}

function streamKey(keys: BundleKeys, stream: number): Promise<Bytes> {
  return hkdf(keys.key, keys.headerHash, BUNDLE_STREAM, uint(stream, 4));
}

/** The `size` bytes of the stream that starts at `offset` of the file. Throws `truncated`, `tampered`. */
async function openStream(file: Bytes, keys: BundleKeys, stream: number, offset: number, size: number): Promise<Bytes> {
  const key = await aesKey(await streamKey(keys, stream));
  const end = offset + sealedSize(size);
  const parts: Bytes[] = [];
  for (let start = offset, counter = 0; start < end; start += SEALED_PART_SIZE, counter++) {
    const next = Math.min(end, start + SEALED_PART_SIZE);
    demand(next <= file.length, "truncated");
    parts.push(await open(key, partNonce(counter, next === end), file.slice(start, next)));
  }
  return concat(...parts);
}

/** `size` bytes of an AES-256-CTR keystream (initial counter block zero), from `offset`: a multiple of 16. */
async function keystream(key: CryptoKey, offset: number, size: number): Promise<Bytes> {
  const counter = new Uint8Array(AES_BLOCK);
  new DataView(counter.buffer).setBigUint64(8, BigInt(offset / AES_BLOCK));
  return new Uint8Array(
    await crypto.subtle.encrypt({ name: "AES-CTR", counter, length: 128 }, key, new Uint8Array(size)),
  );
}

/** One item: its number (from 1), its line of the index, and where its stream starts. */
export interface Item {
  readonly number: number;
  readonly entry: ItemEntry;
  readonly offset: number;
}

async function itemHash(kind: string, data: Bytes): Promise<Bytes> {
  return kind === "envelope" ? (await readEnvelope(data)).id : sha256(data);
}

/** Index and index copy, whichever opens first, and the names of those that do not. */
async function readIndex(
  file: Bytes,
  header: BundleHeader,
  keys: BundleKeys,
): Promise<{ index: Index; damage: string[] }> {
  const size = header.indexParts * PART_SIZE;
  const openAt = async (stream: number, offset: number): Promise<Index> => {
    const [signature, json] = splitIndex(await openStream(file, keys, stream, offset, size));
    const index = parseIndex(json, header.direction);
    await verify(LABELS[index.direction], signature, index.sender, keys.headerHash, signedOf(index));
    return index;
  };
  const copy = Math.max(BUNDLE_HEADER, file.length - sealedSize(size));
  const [first, second] = await Promise.allSettled([openAt(INDEX_STREAM, BUNDLE_HEADER), openAt(COPY_STREAM, copy)]);
  for (const { reason } of [first, second].filter((one) => one.status === "rejected")) {
    if (!(reason instanceof TipboxError)) throw reason;
  }
  if (first.status === "fulfilled")
    return { index: first.value, damage: second.status === "fulfilled" ? [] : ["index copy"] };
  if (second.status === "fulfilled") return { index: second.value, damage: ["index"] };
  throw first.reason;
}

/** A Bundle with a verified index, held in memory. */
export class Bundle {
  readonly items: readonly Item[];
  readonly #file: Bytes;
  readonly #keys: BundleKeys;
  /** Where the padding starts. */
  readonly #end: number;

  private constructor(
    file: Bytes,
    keys: BundleKeys,
    readonly header: BundleHeader,
    readonly index: Index,
    /** `index` or `index copy`, where that is hurt. */
    readonly indexDamage: readonly string[],
  ) {
    this.#file = file;
    this.#keys = keys;
    let offset = BUNDLE_HEADER + sealedSize(header.indexParts * PART_SIZE);
    this.items = index.items.map((entry, i) => {
      const item = { number: i + 1, entry, offset };
      offset += sealedSize(entry.size);
      return item;
    });
    this.#end = offset;
  }

  /**
   * Opens header and index for `reader` (its id) and verifies the sender's signature. Who the sender *is* stays for the
   * caller to compare: `index.sender`.
   */
  static async open(file: Bytes, reader: Bytes, findKey: FindKey): Promise<Bundle> {
    const header = parseBundleHeader(file.slice(0, BUNDLE_HEADER));
    demand(equal(header.reader, reader), "wrong-reader");
    const seed = findKey(header.key);
    demand(seed !== "unknown-key", "unknown-key");
    demand(seed !== "too-late", "too-late");
    const keys = await unwrap(header, seed);
    const { index, damage } = await readIndex(file, header, keys);
    return new Bundle(file, keys, header, index, damage);
  }

  /** The item's bytes. Throws `damaged-item` unless all of them open and have the hash that the index gives. */
  async read({ number, entry, offset }: Item): Promise<Bytes> {
    try {
      const data = await openStream(this.#file, this.#keys, number, offset, entry.size);
      demand(equal(await itemHash(entry.kind, data), entry.hash), "damaged-item");
      return data;
    } catch (error) {
      throw error instanceof TipboxError ? new TipboxError("damaged-item") : error;
    }
  }

  /** Whether the padding and the file's size are as they were written; damage there hurts no item. */
  async checkPadding(): Promise<boolean> {
    const copy = sealedSize(this.header.indexParts * PART_SIZE);
    if (this.#file.length !== volumeClass(this.#end + copy)) return false;
    const padding = this.#file.subarray(this.#end, this.#file.length - copy);
    const key = await crypto.subtle.importKey("raw", await streamKey(this.#keys, PADDING_STREAM), "AES-CTR", false, [
      "encrypt",
    ]);
    for (let offset = 0; offset < padding.length; offset += PART_SIZE) {
      const written = padding.subarray(offset, offset + PART_SIZE);
      if (!equal(await keystream(key, offset, written.length), written)) return false;
    }
    return true;
  }
}
