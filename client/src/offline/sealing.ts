// Sealing a tip into files, part by part: one .tip, or pieces that can be carried alone (docs/format.md, section 12).
// Nothing here asks for anything, and nothing of a tip is in memory as a whole.

import { TipboxError } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { type Bytes, concat } from "../formats/base/bytes.js";
import type { Day } from "../formats/base/days.js";
import { ENVELOPE_PART_SIZE, ID_SIZE, KEY_SIZE, PART_SIZE, SEAL_SIZE } from "../formats/base/limits.js";
import { partsOf, sealedBodySize } from "../formats/base/padding.js";
import { random } from "../formats/base/primitives.js";
import { type EnvelopeEnd, endOf, type OutgoingEnvelope, seal, wipeSeals } from "../formats/envelopes/envelope.js";
import { bodySize } from "../formats/envelopes/letter.js";
import { encodePieceHead, piecesOf } from "../formats/envelopes/pieces.js";
import type { Manifest } from "../formats/manifest.js";
import type { CheckDigits } from "../messages.js";
import { BodyReader, probe } from "../worker/files.js";
import { checksOf, entryOf, recipientsOf } from "../worker/tip.js";
import type { Making, Piece } from "./shelf.js";

/** What is to be sealed, and for whom. */
export interface Contents {
  readonly message: Bytes;
  readonly files: readonly File[];
  /** Ids of the chosen organisations. */
  readonly chosen: readonly string[];
  /** The page's language, a BCP 47 tag. */
  readonly language: string;
}

/** Hears how many sealed bytes of how many there are. */
type Progress = (bytes: number, total: number) => void;

/** Parts that are sealed at once: of many, a browser's memory is in holes that nothing fits into again. */
const RUN_PARTS = 16;

/** How many parts a piece has that is about so many bytes long. */
export function partsFor(bytes: number): number {
  return Math.max(1, Math.floor(bytes / ENVELOPE_PART_SIZE));
}

/** Bytes of the sealed body of these files, and in how many pieces of so many parts it comes. */
export function measure(
  files: readonly File[],
  partsEach: number,
): { readonly bytes: number; readonly pieces: number } {
  const size = bodySize(files.map(entryOf));
  return { bytes: sealedBodySize(size), pieces: piecesOf(partsOf(size), partsEach) };
}

/**
 * A tip whose header and letter are sealed. Its body is sealed once, by `whole` or by `pieces`: then `checks` can be asked
 * for. What it holds (the draft token, the session, the hashes) is all that an upload of it would go on from.
 */
export class SealedTip {
  readonly #envelope: OutgoingEnvelope;
  readonly #files: readonly File[];
  readonly #manifests: readonly Manifest[];
  readonly #signal: AbortSignal;
  readonly #progress: Progress;
  /** The draft token: random, one for all pieces of a tip. */
  readonly #token = random(KEY_SIZE);
  #end: EnvelopeEnd | null = null;

  private constructor(
    envelope: OutgoingEnvelope,
    files: readonly File[],
    manifests: readonly Manifest[],
    signal: AbortSignal,
    progress: Progress,
    /** The digits of a new access code; `null` for one that was known. */
    readonly digits: string | null,
  ) {
    this.#envelope = envelope;
    this.#files = files;
    this.#manifests = manifests;
    this.#signal = signal;
    this.#progress = progress;
  }

  /**
   * Seals header and letter, under a new access code or (digits) one whose conversations it continues. Throws a
   * `FileError` for a file that cannot be read, `expired` and the like for a manifest that is past.
   */
  static async begin(
    { message, files, chosen, language }: Contents,
    manifests: readonly Manifest[],
    today: Day,
    known: string | null,
    signal: AbortSignal,
    progress: Progress,
  ): Promise<SealedTip> {
    await probe(files);
    const accessCode = known === null ? await accessCodes.generate() : await accessCodes.parse(known);
    const root = await accessCodes.rootOf(accessCode);
    const recipients = await recipientsOf(manifests, chosen, root, today);
    const digits = known === null ? accessCodes.digits(accessCode) : null;
    for (const secret of [root, accessCode]) secret.fill(0);
    try {
      const letter = { message, files: files.map(entryOf), id: random(ID_SIZE), language };
      const envelope = await seal(recipients, letter);
      return new SealedTip(envelope, files, manifests, signal, progress, digits);
    } finally {
      for (const { chosen: one } of recipients) one?.pairKey.fill(0);
    }
  }

  /** Sealed bytes of the body. */
  get size(): number {
    return sealedBodySize(this.#envelope.bodySize);
  }

  /** Bytes of the whole, as one `.tip` has them. */
  get wholeSize(): number {
    const { header, letter, seals } = this.#envelope;
    return header.length + letter.length + this.size + seals.length * SEAL_SIZE;
  }

  /** The bytes of one `.tip`, some at a time; what was yielded before is overwritten when the next is asked for. */
  async *whole(): AsyncGenerator<Bytes, void> {
    const { header, letter, body } = this.#envelope;
    yield concat(header, letter);
    yield* this.#runs(new BodyReader(this.#files, this.#envelope.bodySize), body.parts);
    yield (await this.#close()).trailer;
  }

  /** The pieces, one after another, each of so many parts; `making` begins one. */
  async *pieces(partsEach: number, making: () => Making): AsyncGenerator<Piece, void> {
    const { header, letter, body } = this.#envelope;
    const reader = new BodyReader(this.#files, this.#envelope.bodySize);
    const count = piecesOf(body.parts, partsEach);
    for (let number = 0; number < count; number++) {
      const first = number * partsEach;
      const parts = Math.min(partsEach, body.parts - first);
      const made = making();
      for await (const run of this.#runs(reader, parts)) made.add(run);
      const end = number === count - 1 ? await this.#close() : null;
      const head = await encodePieceHead({
        token: this.#token,
        number,
        count,
        partsEach,
        opening: concat(header, letter),
        partHashes: body.hashes.slice(first, first + parts),
        end: end === null ? new Uint8Array() : concat(end.hash, end.trailer),
      });
      yield await made.end(head);
    }
  }

  /** The check digits of what was sealed. */
  async checks(): Promise<CheckDigits[]> {
    const { hash } = await this.#close();
    return checksOf(this.#envelope, this.#manifests, hash);
  }

  /** Overwrites what could seal more, or speak for it. */
  wipe(): void {
    wipeSeals(this.#envelope);
    this.#token.fill(0);
  }

  /** The next sealed parts, run by run, in memory that the next run takes over. */
  async *#runs(reader: BodyReader, parts: number): AsyncGenerator<Bytes, void> {
    const { body } = this.#envelope;
    let plain: ArrayBuffer | undefined;
    let sealed: ArrayBuffer | undefined;
    for (let left = parts; left > 0; ) {
      if (this.#signal.aborted) throw new TipboxError("stopped");
      const count = Math.min(left, RUN_PARTS);
      const plaintext = await reader.read(count * PART_SIZE, plain);
      let run: Bytes;
      try {
        run = await body.seal(plaintext, sealed);
      } finally {
        plaintext.fill(0);
      }
      yield run;
      plain = plaintext.buffer;
      sealed = run.buffer;
      left -= count;
      this.#progress(Math.min(this.size, body.next * ENVELOPE_PART_SIZE), this.size);
    }
  }

  async #close(): Promise<EnvelopeEnd> {
    this.#end ??= await endOf(this.#envelope, this.#envelope.body.hashes);
    return this.#end;
  }
}
