// The letter: message, file table and what belongs to them (docs/format.md, section 4.3).

import { demand } from "../../errors.js";
import { type Bytes, concat, equal, isZero, toBase64, toHex, uint, utf8 } from "../base/bytes.js";
import { decode, encode as encodeJson, type Json, type JsonObject } from "../base/canonical.js";
import { type Day, format as formatDay, parse as parseDay } from "../base/days.js";
import * as fields from "../base/fields.js";
import * as labels from "../base/labels.js";
import {
  HASH_SIZE,
  ID_SIZE,
  KEY_SIZE,
  MAX_BODY,
  MAX_FILES,
  MAX_FILES_FOLLOW,
  MAX_MESSAGE,
  MAX_META,
  MAX_NAME,
  MAX_TYPE,
} from "../base/limits.js";
import { letterSize, padme } from "../base/padding.js";
import { aesKey, hkdf, open, seal } from "../base/primitives.js";
import { type Consent, encodeConsent, parseConsent } from "./consent.js";
import { bodyCommitment, type Header, type Kind, REPLY, TIP } from "./header.js";

const NONCE = new Uint8Array(12);

/** A file as its sender named it: neither name nor type can be trusted. */
export interface FileEntry {
  readonly name: string;
  readonly size: number;
  readonly type: string;
}

/** What letters of both kinds say. */
interface Contents {
  readonly message: Bytes;
  readonly files: readonly FileEntry[];
  readonly bodyKey: Bytes;
  readonly id: Bytes;
  readonly language: string;
}

/** What a letter of a tip says. */
export interface TipLetter extends Contents {
  readonly kind: typeof TIP;
  readonly consent?: Consent;
  /** The Envelope hash of the one stored before it in the same tip. */
  readonly continues?: Bytes;
  /** How many files were to come after it. */
  readonly filesFollow?: number;
  /** Reserved: kept, not read. */
  readonly sections?: readonly string[];
}

/** What a letter of a reply says. */
export interface ReplyLetter extends Contents {
  readonly kind: typeof REPLY;
  /** The message id that it answers, or nothing. */
  readonly answers: Bytes;
  /** The day on which it was sealed. */
  readonly day: Day;
}

export type Letter = TipLetter | ReplyLetter;

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

function membersOf(letter: Letter): JsonObject {
  if (letter.kind === REPLY) return { answers: toHex(letter.answers), day: formatDay(letter.day) };
  const { consent, continues, filesFollow, sections } = letter;
  return {
    ...(consent && { consent: encodeConsent(consent) }),
    ...(continues && { continues: toHex(continues) }),
    ...(filesFollow !== undefined && { files_follow: filesFollow }),
    ...(sections && { sections }),
  };
}

/** The padded plaintext of a letter. */
export function encodeLetter(letter: Letter): Bytes {
  const meta = encodeJson({
    body_key: toBase64(letter.bodyKey),
    files: letter.files.map(({ name, size, type }) => ({ name, size, type })),
    id: toHex(letter.id),
    language: letter.language,
    ...membersOf(letter),
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
  demand(1 <= nameSize && nameSize <= MAX_NAME && utf8(type).length <= MAX_TYPE, "limit");
  demand(!name.includes("\0") && /^[\x20-\x7e]*$/.test(type), "malformed");
  return { name, size: fields.integer(entry["size"], 0, MAX_BODY), type };
}

const COMMON = ["body_key", "files", "id", "language"];
const REQUIRED = { [TIP]: COMMON, [REPLY]: [...COMMON, "answers", "day"] };
const OPTIONAL = { [TIP]: ["consent", "continues", "files_follow", "sections"], [REPLY]: [] };

function parseTip(value: JsonObject): Omit<TipLetter, keyof Contents> {
  const { consent, continues, files_follow: follow, sections } = value;
  return {
    kind: TIP,
    ...(consent !== undefined && { consent: parseConsent(consent) }),
    ...(continues !== undefined && { continues: fields.hex(continues, HASH_SIZE) }),
    ...(follow !== undefined && { filesFollow: fields.integer(follow, 1, MAX_FILES_FOLLOW) }),
    ...(sections !== undefined && { sections: fields.list(sections).map(fields.text) }),
  };
}

function parseReply({ answers, day }: JsonObject): Omit<ReplyLetter, keyof Contents> {
  return {
    kind: REPLY,
    answers: answers === "" ? new Uint8Array(0) : fields.hex(answers, ID_SIZE),
    day: parseDay(day),
  };
}

/** Reads the padded plaintext of a letter of that kind. */
export function parseLetter(plaintext: Bytes, kind: Kind): Letter {
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
  const value = fields.members(decode(meta), REQUIRED[kind], OPTIONAL[kind]);
  const files = fields.list(value["files"]);
  demand(files.length <= MAX_FILES, "limit");
  const entries = files.map(parseFile); // before the other members, of which none can pass a limit
  const { language } = value;
  return {
    message,
    files: entries,
    bodyKey: fields.base64(value["body_key"], KEY_SIZE),
    id: fields.hex(value["id"], ID_SIZE),
    language: language === "" ? "" : fields.language(language),
    ...(kind === TIP ? parseTip(value) : parseReply(value)),
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
  const letter = parseLetter(await open(await letterKey(headerHash, contentKey), NONCE, sealed), header.kind);
  demand(equal(await bodyCommitment(letter.bodyKey, header.salt), header.bodyCommitment), "commitment");
  demand(bodySize(letter.files) === header.bodySize, "malformed");
  return letter;
}
