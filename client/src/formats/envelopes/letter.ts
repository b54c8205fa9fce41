// The letter: message, file table and what the reader needs to answer (docs/format.md, section 4.3).

import { demand } from "../../errors.js";
import { type Bytes, concat, equal, isZero, toBase64, toHex, uint, utf8 } from "../base/bytes.js";
import { decode, encode as encodeJson, type Json, type JsonObject } from "../base/canonical.js";
import * as fields from "../base/fields.js";
import * as labels from "../base/labels.js";
import {
  HASH_SIZE,
  ID_SIZE,
  KEY_SIZE,
  MAX_BODY,
  MAX_FILES,
  MAX_MESSAGE,
  MAX_META,
  MAX_NAME,
  MAX_TYPE,
  XWING_PUBLIC_SIZE,
} from "../base/limits.js";
import { letterSize, padme } from "../base/padding.js";
import { aesKey, hkdf, open, seal } from "../base/primitives.js";
import { bodyCommitment, type Header } from "./header.js";

const NONCE = new Uint8Array(12);
const NOTHING = new Uint8Array(0);

/** A file as its sender named it: neither name nor type can be trusted. */
export interface FileEntry {
  readonly name: string;
  readonly size: number;
  readonly type: string;
}

/** What a letter says. `mailbox` and `replyKey` are both there or both empty. */
export interface Letter {
  readonly message: Bytes;
  readonly files: readonly FileEntry[];
  readonly bodyKey: Bytes;
  readonly id: Bytes;
  readonly kind: "tip" | "reply";
  readonly language: string;
  readonly mailbox: Bytes;
  readonly replyKey: Bytes;
  /** Members of later versions: kept, not read. */
  readonly reserved?: { readonly consent?: JsonObject; readonly sections?: readonly string[] };
}

/** The padded plaintext bytes of the body of these files. */
export function bodySize(files: readonly FileEntry[]): number {
  return padme(files.reduce((total, file) => total + file.size, 0));
}

/** Throws `limit` for what must not be sealed, and `malformed` for an Envelope with neither message nor file. */
export function checkSendable(message: Bytes, files: readonly FileEntry[]): void {
  const nameSizes = files.map((file) => utf8(file.name).length);
  demand(message.length <= MAX_MESSAGE && files.length <= MAX_FILES && bodySize(files) <= MAX_BODY, "limit");
  demand(
    nameSizes.every((size) => 1 <= size && size <= MAX_NAME),
    "limit",
  );
  demand(message.length > 0 || files.length > 0, "malformed");
}

/** The padded plaintext of a letter. */
export function encodeLetter(letter: Letter): Bytes {
  const meta = encodeJson({
    body_key: toBase64(letter.bodyKey),
    files: letter.files.map(({ name, size, type }) => ({ name, size, type })),
    id: toHex(letter.id),
    kind: letter.kind,
    language: letter.language,
    mailbox: toHex(letter.mailbox),
    reply_key: toBase64(letter.replyKey),
    ...letter.reserved,
  });
  const used = 4 + meta.length + 4 + letter.message.length;
  const plaintext = concat(
    uint(meta.length, 4),
    meta,
    uint(letter.message.length, 4),
    letter.message,
    new Uint8Array(letterSize(used) - used),
  );
  meta.fill(0);
  return plaintext;
}

function parseFile(value: Json): FileEntry {
  const entry = fields.members(value, ["name", "size", "type"]);
  const name = fields.text(entry["name"]);
  const type = fields.text(entry["type"]);
  const nameSize = utf8(name).length;
  demand(1 <= nameSize && nameSize <= MAX_NAME && type.length <= MAX_TYPE, "limit");
  demand(!name.includes("\0") && /^[\x20-\x7e]*$/.test(type), "malformed");
  return { name, size: fields.integer(entry["size"], 0, MAX_BODY), type };
}

function parseReserved(value: JsonObject): { consent?: JsonObject; sections?: string[] } {
  return {
    ...(value["consent"] === undefined ? {} : { consent: fields.members(value["consent"], [], null) }),
    ...(value["sections"] === undefined ? {} : { sections: fields.list(value["sections"]).map(fields.text) }),
  };
}

/** Reads a padded plaintext. */
export function parseLetter(plaintext: Bytes): Letter {
  const view = new DataView(plaintext.buffer, plaintext.byteOffset, plaintext.length);
  let offset = 0;
  const counted = (limit: number): Bytes => {
    demand(offset + 4 <= plaintext.length, "malformed");
    const size = view.getUint32(offset);
    demand(size <= limit, "limit");
    demand(offset + 4 + size <= plaintext.length, "malformed");
    return plaintext.slice(offset + 4, (offset += 4 + size));
  };
  const meta = counted(MAX_META);
  const message = counted(MAX_MESSAGE);
  demand(letterSize(offset) === plaintext.length && isZero(plaintext.subarray(offset)), "malformed");
  const required = ["body_key", "files", "id", "kind", "language", "mailbox", "reply_key"];
  const value = fields.members(decode(meta), required, ["consent", "sections"]);
  const files = fields.list(value["files"]);
  demand(files.length <= MAX_FILES, "limit");
  const entries = files.map(parseFile); // before the other members, of which none can pass a limit
  const { kind, language, mailbox, reply_key: replyKey } = value;
  demand((mailbox === "") === (replyKey === ""), "malformed");
  demand(kind === "tip" || kind === "reply", "malformed");
  const reserved = parseReserved(value);
  return {
    message,
    files: entries,
    bodyKey: fields.base64(value["body_key"], KEY_SIZE),
    id: fields.hex(value["id"], ID_SIZE),
    kind,
    language: language === "" ? "" : fields.language(language),
    mailbox: mailbox === "" ? NOTHING : fields.hex(mailbox, HASH_SIZE),
    replyKey: replyKey === "" ? NOTHING : fields.base64(replyKey, XWING_PUBLIC_SIZE),
    ...(Object.keys(reserved).length > 0 ? { reserved } : {}),
  };
}

async function letterKey(headerHash: Bytes, contentKey: Bytes): Promise<CryptoKey> {
  const key = await hkdf(contentKey, headerHash, labels.LETTER);
  const handle = await aesKey(key);
  key.fill(0);
  return handle;
}

/** Seals a padded letter under a header whose SHA-256 is `headerHash`. */
export async function sealLetter(headerHash: Bytes, contentKey: Bytes, plaintext: Bytes): Promise<Bytes> {
  return seal(await letterKey(headerHash, contentKey), NONCE, plaintext);
}

/** Opens a letter and checks it against its header. */
export async function openLetter(header: Header, headerHash: Bytes, contentKey: Bytes, sealed: Bytes): Promise<Letter> {
  const letter = parseLetter(await open(await letterKey(headerHash, contentKey), NONCE, sealed));
  demand(equal(await bodyCommitment(letter.bodyKey, header.salt), header.bodyCommitment), "commitment");
  demand(bodySize(letter.files) === header.bodySize, "malformed");
  return letter;
}
