// Continuing an upload of another day (docs/protocol.md, section 3.3). It comes in a file of its own when somebody asks
// for it (going_on.ts). What a server gives back is checked against the capsule before it is used; parts that it names are
// sealed again and compared, and never sent.

import { codeOf, demand, TipboxError } from "../../errors.js";
import * as accessCodes from "../../formats/access_code.js";
import { type Bytes, concat, equal, fromHex, isZero, toHex } from "../../formats/base/bytes.js";
import {
  CAPSULE_PLACES,
  CAPSULE_SIZE,
  HASH_SIZE,
  MAX_OPENING,
  MAX_RUN_PARTS,
  PART_SIZE,
  SEAL_SIZE,
  SESSION_NONCE_SIZE,
} from "../../formats/base/limits.js";
import { sealedBodySize } from "../../formats/base/padding.js";
import { sha256 } from "../../formats/base/primitives.js";
import { BodySealer } from "../../formats/envelopes/body.js";
import {
  type Capsule,
  type CheckedOpening,
  checkOpening,
  openCapsule,
  sealCapsule,
} from "../../formats/envelopes/capsule.js";
import { endOf, type OutgoingEnvelope, wipeSeals } from "../../formats/envelopes/envelope.js";
import type { FileEntry } from "../../formats/envelopes/letter.js";
import type { FoundUpload, FromWorker } from "../../messages.js";
import { Connection, type ConnectionOptions } from "../../net/http.js";
import { Meter } from "../../net/meter.js";
import { FinishedElsewhere, type Range, Upload } from "../../net/upload.js";
import { BodyReader, probe } from "../files.js";
import { type Placing, sendBody } from "../send.js";
import { checksOf, entryOf } from "../tip.js";

/** The most ranges that a server names of an upload; one that names so many may have more. */
const LISTED_RANGES = 100;
/** How often it is looked at anew when another tab goes on with the same upload. */
const ATTEMPTS = 3;

/** Consecutive parts that the server says it has: their session nonce, and SHA-256 of their SHA-256s. */
interface StoredRange {
  readonly first: number;
  readonly count: number;
  readonly nonce: Bytes;
  readonly hash: Bytes;
}

/** An upload that can be continued. */
interface Found {
  readonly placeToken: Bytes;
  readonly capsule: Capsule;
  readonly opening: CheckedOpening;
}

/** What this is lent by the worker. */
export interface Lent {
  /** The address of `/api/envelope`. */
  readonly api: string;
  /** Names of organisations by the page's list, and their ids. */
  readonly listed: readonly { readonly id: string; readonly name: string }[];
  readonly connection: ConnectionOptions;
  readonly tell: (news: FromWorker) => void;
}

/** The stored parts are not of these files, or the server gave something else than it was given. */
export class Differs extends Error {}

/** Makes what lies with uploads of the access code with this root. */
export async function placingOf(root: Bytes): Promise<Placing> {
  const resume = await accessCodes.resumeSecret(root);
  const sealed = new Map<string, Promise<Bytes>>();
  return async ({ headerHash, letter, contentKey, seals }, token, place) => {
    if (place >= CAPSULE_PLACES) return null;
    const name = toHex(token);
    const capsule =
      sealed.get(name) ??
      sealCapsule(
        {
          token,
          headerHash,
          letterHash: await sha256(letter),
          contentKey,
          sealSecrets: seals.map(({ secrets }) => secrets?.sealSecret ?? null),
        },
        resume,
      );
    sealed.set(name, capsule); // sealed once, wherever it lies
    return concat(await sha256(await accessCodes.placeToken(resume, place)), await capsule);
  };
}

/** For each file of the table, the chosen one that it is: by name and size, else by size alone; `null` for none. */
export function matched(table: readonly FileEntry[], chosen: readonly File[]): (File | null)[] {
  const left = new Set(chosen);
  const take = (fits: (file: File) => boolean): File | null => {
    for (const file of left) {
      if (!fits(file)) continue;
      left.delete(file);
      return file;
    }
    return null;
  };
  const named = table.map(({ name, size }) => take((file) => file.size === size && entryOf(file).name === name));
  return table.map(({ size }, at) => named[at] ?? take((file) => file.size === size));
}

/** The ranges in an answer to `GET /api/envelope/parts`. */
export function parseRanges(value: unknown, parts: number): StoredRange[] {
  demand(typeof value === "object" && value !== null && "parts" in value && Array.isArray(value.parts), "network");
  let end = 0;
  const ranges = value.parts.map((one: unknown) => {
    demand(Array.isArray(one) && one.length === 4, "network");
    const [first, count, nonce, hash] = one as unknown[];
    demand(typeof first === "number" && typeof count === "number", "network");
    demand(typeof nonce === "string" && typeof hash === "string", "network");
    const range = { first, count, nonce: fromHex(nonce), hash: fromHex(hash) };
    demand(range.nonce?.length === SESSION_NONCE_SIZE && range.hash?.length === HASH_SIZE, "network");
    const isInside = Number.isSafeInteger(first) && Number.isSafeInteger(count) && first >= end && count >= 1;
    if (!isInside || first + count > parts) throw new Differs();
    end = first + count;
    return range as StoredRange;
  });
  if (ranges.length >= LISTED_RANGES) throw new Differs();
  return ranges;
}

/** What of so many parts lies in none of these ranges. */
export function gapsOf(ranges: readonly StoredRange[], parts: number): Range[] {
  const gaps: Range[] = [];
  let end = 0;
  for (const { first, count } of [...ranges, { first: parts, count: 0 }]) {
    if (first > end) gaps.push([end, first - end]);
    end = first + count;
  }
  return gaps;
}

/** The hashes of the parts in these ranges, sealed again under the nonces that they name. Throws `Differs`. */
async function compare(
  ranges: readonly StoredRange[],
  own: BodySealer,
  files: readonly Blob[],
  bodySize: number,
): Promise<Bytes[]> {
  const reader = new BodyReader(files, bodySize);
  const sessions = new Map<string, BodySealer>();
  const hashes: Bytes[] = [];
  for (const { first, count, nonce, hash } of ranges) {
    const name = toHex(nonce);
    const session = sessions.get(name) ?? (await own.again(nonce));
    sessions.set(name, session);
    session.skipTo(first);
    reader.skipTo(first * PART_SIZE);
    while (session.next < first + count) {
      const plaintext = await reader.read(Math.min(MAX_RUN_PARTS, first + count - session.next) * PART_SIZE);
      try {
        await session.seal(plaintext);
      } finally {
        plaintext.fill(0);
      }
    }
    const sealed = session.hashes.slice(first, first + count);
    if (!equal(await sha256(...sealed), hash)) throw new Differs();
    for (const [at, one] of sealed.entries()) hashes[first + at] = one;
  }
  return hashes;
}

export class Continuing {
  readonly #lent: Lent;
  readonly #root: Bytes;
  #found: readonly Found[] = [];

  /** `root` is the access code's; it is wiped by `wipe`. */
  constructor(root: Bytes, lent: Lent) {
    this.#root = root;
    this.#lent = lent;
  }

  wipe(): void {
    this.#root.fill(0);
    this.#found = [];
  }

  /** Asks for the capsules, and for header and letter of each that is this access code's. */
  async find(): Promise<{ uploads: FoundUpload[]; refused: number }> {
    const resume = await accessCodes.resumeSecret(this.#root);
    const numbers = Array.from({ length: CAPSULE_PLACES }, (_, number) => number);
    const places = await Promise.all(numbers.map((number) => accessCodes.placeToken(resume, number)));
    const connection = new Connection(null, this.#lent.connection);
    const url = new URL("capsule", this.#lent.api).href;
    const expected = CAPSULE_PLACES * CAPSULE_SIZE;
    const answer = await connection.retry(() =>
      connection.request({ method: "POST", url, body: concat(...places), expected }),
    );
    demand(answer.length === expected, "network");
    const found: Found[] = [];
    let refused = 0;
    for (const [number, placeToken] of places.entries()) {
      const sealed = answer.slice(number * CAPSULE_SIZE, (number + 1) * CAPSULE_SIZE);
      if (isZero(sealed)) continue;
      const capsule = await openCapsule(sealed, resume).catch(() => null); // of another, or random
      if (capsule === null) continue;
      try {
        found.push({ placeToken, capsule, opening: await checkOpening(capsule, await this.#opening(capsule)) });
      } catch (error) {
        const code = codeOf(error);
        if (code === "network" || code === "stopped") throw error;
        if (code !== "no-draft") refused++; // else it has just ended
      }
    }
    this.#found = found;
    return { uploads: found.map(({ capsule, opening }) => said(capsule, opening)), refused };
  }

  #opening({ token }: Capsule): Promise<Bytes> {
    const connection = new Connection(token, this.#lent.connection);
    const url = `${this.#lent.api}/opening`;
    return connection.retry(() => connection.request({ method: "GET", url, expected: MAX_OPENING }));
  }

  /** Forgets an upload that was found, on the server. */
  async giveUp(index: number): Promise<void> {
    const found = this.#found[index];
    if (found === undefined) return;
    const connection = new Connection(found.capsule.token, this.#lent.connection);
    const url = `${this.#lent.api}/give-up`;
    await connection.retry(() => connection.request({ method: "POST", url, body: found.placeToken }));
  }

  /**
   * Goes on with an upload, with the chosen files. Returns the Envelope's hash, "elsewhere" when another tab or program
   * has finished it meanwhile, or `null` after telling which files are missing or that what lies there is not of these.
   */
  async go(
    index: number,
    chosen: readonly File[],
    connection: Omit<ConnectionOptions, "onTrouble">,
  ): Promise<Bytes | "elsewhere" | null> {
    const found = this.#found[index];
    demand(found !== undefined, "internal");
    const { tell } = this.#lent;
    const { letter } = found.opening;
    const files = matched(letter.files, chosen);
    const missing = files.flatMap((file, at) => (file === null ? [at] : []));
    if (missing.length > 0) {
      tell({ kind: "unmatched", files: missing });
      return null;
    }
    const all = files.filter((file) => file !== null);
    await probe(all);
    const envelope = await this.#envelope(found);
    const failure = new AbortController(); // ends the other lanes when one fails
    try {
      const signal = AbortSignal.any([connection.signal, failure.signal]);
      const hash = await this.#send(found, all, envelope, { ...connection, signal });
      const names = this.#lent.listed.map(({ id, name }) => ({ id: fromHex(id) ?? new Uint8Array(), name }));
      tell({ kind: "checks", checks: await checksOf(envelope, names, hash), files: all.length });
      return hash;
    } catch (error) {
      failure.abort(new TipboxError("stopped"));
      if (error instanceof FinishedElsewhere) return "elsewhere";
      if (!(error instanceof Differs)) throw error;
      tell({ kind: "differs" });
      return null;
    } finally {
      wipeSeals(envelope);
    }
  }

  /** Header, letter and seals, as the session had them that began it. */
  async #envelope({ capsule, opening }: Found): Promise<Omit<OutgoingEnvelope, "body">> {
    const { header, headerBytes, sealedLetter } = opening;
    const seals = header.slots.map(async ({ organisation }, slot) => {
      const sealSecret = capsule.sealSecrets[slot];
      if (!sealSecret) return { organisation, secrets: null };
      const pairKey = await accessCodes.pairKey(this.#root, organisation);
      return { organisation, secrets: { pairKey, sealSecret: sealSecret.slice() } };
    });
    return {
      header: headerBytes,
      headerHash: capsule.headerHash,
      letter: sealedLetter,
      bodySize: header.bodySize,
      salt: header.salt,
      contentKey: capsule.contentKey.slice(),
      seals: await Promise.all(seals),
    };
  }

  async #send(
    { capsule, opening }: Found,
    files: readonly File[],
    envelope: Omit<OutgoingEnvelope, "body">,
    connection: Omit<ConnectionOptions, "onTrouble">,
  ): Promise<Bytes> {
    const { api, tell } = this.#lent;
    const { bodySize, seals } = envelope;
    let sealer = await BodySealer.create(capsule.headerHash, opening.letter.bodyKey, bodySize);
    const body = sealedBodySize(bodySize);
    const meter = new Meter(body + SEAL_SIZE * seals.length);
    const onTrouble: ConnectionOptions["onTrouble"] = (trouble, pause) =>
      tell({ kind: "connection", trouble, pause: pause ?? null });
    const onAcknowledged = (more: number): void => {
      const now = performance.now();
      meter.add(more, now);
      const plain = Math.floor((Math.min(body, meter.bytes) * bodySize) / body);
      const total = body + SEAL_SIZE * seals.length;
      tell({
        kind: "progress",
        bytes: meter.bytes,
        total,
        plain,
        rate: meter.rate(now),
        remaining: meter.remaining(now),
      });
    };
    const loadPayer = (): Promise<never> => Promise.reject(new TipboxError("internal")); // opening is what costs
    const options = { ...connection, api, token: capsule.token, loadPayer, onTrouble, onAcknowledged };
    for (let attempt = 1; ; attempt++) {
      const upload = new Upload(options);
      try {
        const ranges = parseRanges(await upload.named(), sealer.parts);
        const hashes = await compare(ranges, sealer, files, bodySize);
        const there = ranges.reduce((sum, { count }) => sum + count, 0);
        if (attempt === 1) onAcknowledged(Math.floor((body * there) / sealer.parts));
        await sendBody(upload, sealer, new BodyReader(files, bodySize), gapsOf(ranges, sealer.parts));
        for (const [number, hash] of sealer.hashes.entries()) hashes[number] ??= hash;
        const end = await endOf(envelope, hashes);
        await upload.finish(end);
        return end.hash;
      } catch (error) {
        // Another tab goes on with it as well; or a server that lies.
        if (codeOf(error) !== "part-differs" || attempt === ATTEMPTS) throw await upload.explain(error);
        sealer = await sealer.again();
      }
    }
  }
}

function said({ sealSecrets }: Capsule, { header, letter }: CheckedOpening): FoundUpload {
  const chosen = header.slots.filter((_, slot) => sealSecrets[slot]).map(({ organisation }) => toHex(organisation));
  return {
    files: letter.files.map(({ name, size }) => ({ name, size })),
    chosen,
    continues: letter.continues === undefined ? null : toHex(letter.continues),
  };
}
