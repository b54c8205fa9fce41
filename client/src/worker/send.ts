// Sending one tip: the words in an Envelope of their own and at once, then the files in one that continues it, whose body
// is sealed and uploaded run by run.

import { codeOf, demand, TipboxError } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { type Bytes, equal, fromHex, toHex } from "../formats/base/bytes.js";
import type { Day } from "../formats/base/days.js";
import { ID_SIZE, MAX_RUN_PARTS, PART_SIZE, PLACED_SIZE, SEAL_SIZE } from "../formats/base/limits.js";
import { partsOf, sealedBodySize } from "../formats/base/padding.js";
import { random } from "../formats/base/primitives.js";
import type { BodySealer } from "../formats/envelopes/body.js";
import {
  type EnvelopeEnd,
  endOf,
  type OutgoingEnvelope,
  type Recipient,
  seal,
  wipeSeals,
} from "../formats/envelopes/envelope.js";
import type { TipLetter } from "../formats/envelopes/letter.js";
import type { Manifest } from "../formats/manifest.js";
import type { FromWorker, Missing, Order } from "../messages.js";
import type { ConnectionOptions } from "../net/http.js";
import { Meter } from "../net/meter.js";
import type { Payer } from "../net/payer.js";
import { askPrices, type Prices } from "../net/prices.js";
import { FinishedElsewhere, type Range, Upload, type UploadOptions } from "../net/upload.js";
import { BodyReader, FileError, probe } from "./files.js";
import { checksOf, entryOf, recipientsOf } from "./tip.js";

/** Runs of parts handled at once: one is sealed while another is uploaded. */
const LANES = 2;
/** Bytes of the longest message whose place costs no more than that of any text (docs/format.md, section 4.3). */
const LONG_MESSAGE = 16_384;
/** Sessions of others whose parts are sealed again for comparing; each reads all files once. */
const MOST_SESSIONS = 4;

/** A run that is being sealed. */
interface PendingRun {
  readonly first: number;
  readonly plaintext: Bytes;
  readonly sealing: Promise<Bytes>;
}

/** Memory for reuse: the plaintext in it is wiped, the ciphertext acknowledged. */
interface SpareMemory {
  readonly plain: ArrayBuffer;
  readonly sealed: ArrayBuffer;
}

/**
 * Seals the parts of the body that are missing, run by run, and sends the runs, `LANES` at once; a run's ciphertext is kept until it is acknowledged.
 * All lanes draw from one generator, so runs are read one at a time and in order, and when it throws, every lane ends.
 */
export async function sendBody(
  upload: Upload,
  sealer: BodySealer,
  reader: BodyReader,
  missing: readonly Range[] = [[0, sealer.parts]],
): Promise<void> {
  const spares: SpareMemory[] = [];
  async function* sealRuns(): AsyncGenerator<PendingRun, void> {
    for (const [first, count] of missing) {
      sealer.skipTo(first);
      reader.skipTo(first * PART_SIZE);
      while (sealer.next < first + count) {
        const spare = spares.pop();
        const parts = Math.min(upload.length.parts, first + count - sealer.next);
        const plaintext = await reader.read(parts * PART_SIZE, spare?.plain);
        yield { first: sealer.next, plaintext, sealing: sealer.seal(plaintext, spare?.sealed) };
      }
    }
  }
  const runs = sealRuns();
  const lane = async (): Promise<void> => {
    for await (const { first, plaintext, sealing } of runs) {
      let sealed: Bytes;
      try {
        sealed = await sealing;
      } finally {
        plaintext.fill(0);
      }
      await upload.send({ first, count: partsOf(plaintext.length), sealed });
      spares.push({ plain: plaintext.buffer, sealed: sealed.buffer });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** The hashes of a body's parts as the session with this nonce seals them. Nothing of it is kept or sent. */
async function hashesUnder(
  nonce: Bytes,
  own: BodySealer,
  files: readonly Blob[],
  bodySize: number,
): Promise<readonly Bytes[]> {
  const sealer = await own.again(nonce);
  const reader = new BodyReader(files, bodySize);
  while (reader.left > 0) {
    const plaintext = await reader.read(MAX_RUN_PARTS * PART_SIZE);
    await sealer.seal(plaintext);
    plaintext.fill(0);
  }
  return sealer.hashes;
}

/**
 * The hashes of the parts that the server has, when all of them are this body's, by whatever session they were sealed;
 * else `null`. What the server names is only compared: parts of another session are sealed again here, without being
 * sent, and the source's seal is over what was sealed here. Else a server could have it seal somebody else's bytes.
 */
async function compareStored(
  upload: Upload,
  own: BodySealer,
  files: readonly Blob[],
  bodySize: number,
): Promise<Bytes[] | null> {
  const stored = await upload.storedParts(own.parts);
  const others = new Map(stored.map(({ nonce }) => [toHex(nonce), nonce]));
  others.delete(toHex(own.sessionNonce));
  if (others.size > MOST_SESSIONS) return null;
  const known = new Map<string, readonly Bytes[]>([[toHex(own.sessionNonce), own.hashes]]);
  for (const [name, nonce] of others) known.set(name, await hashesUnder(nonce, own, files, bodySize));
  const hashes: Bytes[] = [];
  for (const [number, { nonce, hash }] of stored.entries()) {
    const sealed = known.get(toHex(nonce))?.[number];
    if (sealed === undefined || !equal(sealed, hash)) return null;
    hashes.push(sealed);
  }
  return hashes;
}

/** What a source pays with. */
export interface Purse {
  /** It may have begun to work for the first upload; `null` when it has been used. */
  payer: Payer | null;
  /** What openings cost when the form was opened, if that is known. */
  prices: Prices | null;
  /** Asks the source whether to work for more than a minute of a phone. */
  readonly agrees?: (seconds: number) => Promise<void>;
  /** Loads what pays. */
  readonly loadPayer: UploadOptions["loadPayer"];
}

/**
 * What is sent with an upload so that its access code continues it: place address and capsule, `null` when its four
 * places are taken.
 */
export type Placing = (envelope: OutgoingEnvelope, token: Bytes, place: number) => Promise<Bytes | null>;

interface Sending {
  /** Makes what lies with uploads that the source may have to continue; `null` when it did not ask. */
  readonly placing: ((root: Bytes) => Promise<Placing>) | null;
  /** The access code in whose conversations it continues; `null` makes a new one. */
  readonly known: Bytes | null;
  readonly purse: Purse;
}

/** What all Envelopes of one tip share. */
interface Tip {
  readonly order: Order;
  readonly manifests: readonly Manifest[];
  readonly recipients: readonly Recipient[];
  /** The digits of a new access code. */
  readonly digits: string | null;
  readonly tell: (news: FromWorker) => void;
  readonly connection: ConnectionOptions;
  readonly purse: Purse;
  readonly placing: (() => Promise<Placing>) | null;
}

/** A chosen file, and its index among all of the order. */
interface Chosen {
  readonly file: File;
  readonly index: number;
}

/** A long message has a price of its own: works for that before anything large runs into a refusal. */
async function payForLong({ order: { message, api }, purse, connection }: Tip): Promise<void> {
  if (message.length <= LONG_MESSAGE) return;
  purse.prices = (await askPrices(api, connection)) ?? purse.prices;
  if (purse.prices !== null) purse.payer?.start({ ...purse.prices, price: purse.prices.long });
}

/** The options of the uploads of an Envelope, which tell the page how far it is. */
function telling({ order, purse, tell, connection }: Tip, envelope: OutgoingEnvelope, isMeasured: boolean) {
  const placed = envelope.bodySize === 0 ? 0 : PLACED_SIZE;
  const front = envelope.header.length + envelope.letter.length + placed;
  const body = sealedBodySize(envelope.bodySize);
  const total = front + body + SEAL_SIZE * envelope.seals.length;
  return (signal: AbortSignal): UploadOptions => {
    const meter = new Meter(total);
    const { payer, agrees, loadPayer } = purse;
    purse.payer = null; // a token is for one upload
    return {
      api: order.api,
      ...connection,
      signal,
      ...(payer && { payer }),
      ...(agrees && { agrees }),
      loadPayer,
      onAcknowledged: (more) => {
        if (!isMeasured) return;
        const now = performance.now();
        meter.add(more, now);
        const { bytes } = meter;
        const sealed = Math.min(body, Math.max(0, bytes - front));
        const plain = body === 0 ? 0 : Math.floor((sealed * envelope.bodySize) / body);
        tell({ kind: "progress", bytes, total, plain, rate: meter.rate(now), remaining: meter.remaining(now) });
      },
      onWork: (work) => tell({ kind: "working", work }),
    };
  };
}

/** Sending an Envelope failed; `inDoubt`: it may be stored. */
class Unsent extends TipboxError {
  constructor(
    readonly error: unknown,
    readonly inDoubt: boolean,
  ) {
    super(codeOf(error));
  }
}

/**
 * Seals an Envelope and sends it; `opened` is called when header and letter are stored. Returns its hash when all of it
 * is; else throws `Unsent`, or `FinishedElsewhere`.
 */
async function sendEnvelope(
  tip: Tip,
  content: Omit<TipLetter, "bodyKey" | "kind" | "id" | "language" | "files">,
  files: readonly File[],
  isMeasured: boolean,
  opened: () => void,
): Promise<Bytes> {
  const { order, manifests, recipients, tell } = tip;
  const { language } = order;
  const envelope = await seal(recipients, { ...content, files: files.map(entryOf), id: random(ID_SIZE), language });
  const failure = new AbortController(); // ends the other lanes when one fails
  const signal = AbortSignal.any([tip.connection.signal, failure.signal]);
  const uploads: Upload[] = [];
  const options = telling(tip, envelope, isMeasured);
  const begin = (): Upload => {
    const upload = new Upload(options(signal));
    uploads.push(upload);
    return upload;
  };
  try {
    const hash =
      envelope.bodySize === 0
        ? await sendWords(envelope, begin(), opened)
        : await sendFiles(envelope, files, begin, (upload) => place(tip, envelope, upload), opened);
    tell({ kind: "checks", checks: await checksOf(envelope, manifests, hash), files: files.length });
    return hash;
  } catch (thrown) {
    const error = (await uploads.at(-1)?.explain(thrown)) ?? thrown;
    failure.abort(new TipboxError("stopped"));
    if (error instanceof FinishedElsewhere) throw error;
    // A server that has other parts each time may as well have these.
    throw new Unsent(error, codeOf(error) === "part-differs" || uploads.some(({ mayBeStored }) => mayBeStored));
  } finally {
    wipeSeals(envelope);
  }
}

/** What of a tip is stored, and what of it is not. */
export interface Outcome {
  /** The hash of the Envelope that was stored last, in hex: what comes later continues it. */
  readonly continues: string;
  readonly missing: readonly Missing[];
  /** Whether the missing files may have arrived all the same. */
  readonly inDoubt: boolean;
  /** Whether another tab or program finished it, and `continues` is not known. */
  readonly elsewhere: boolean;
}

/**
 * Sends one tip under a new access code, or under a `known` one, in whose conversations it continues: the words by
 * themselves and at once, then all files that can be read, as one Envelope that continues the words. Returns when the
 * words are stored, or without words the first files; throws a `TipboxError` when nothing is.
 */
export async function send(
  order: Order,
  manifests: readonly Manifest[],
  today: Day,
  tell: (news: FromWorker) => void,
  connection: Omit<ConnectionOptions, "onTrouble">,
  { known, purse, placing: plan }: Sending,
): Promise<Outcome> {
  const accessCode = known?.slice() ?? (await accessCodes.generate());
  const root = await accessCodes.rootOf(accessCode);
  const recipients: Recipient[] = [];
  const digits = known === null ? accessCodes.digits(accessCode) : null;
  accessCode.fill(0);
  const placing = plan && (() => plan(root)); // the words do not wait for what makes capsules
  const onTrouble: ConnectionOptions["onTrouble"] = (trouble, pause) =>
    tell({ kind: "connection", trouble, pause: pause ?? null });
  const tip = { order, manifests, recipients, digits, tell, connection: { ...connection, onTrouble }, purse, placing };
  try {
    recipients.push(...(await recipientsOf(manifests, order.chosen, root, today)));
    const before = order.continues === null ? null : fromHex(order.continues);
    const words = order.message.length === 0 ? null : await sendMessage(tip, before);
    return await sendChosen(tip, words ?? before);
  } catch (error) {
    if (!(error instanceof Unsent)) throw error;
    if (error.inDoubt) tell({ kind: "doubt", accessCode: digits });
    throw error.error;
  } finally {
    order.message.fill(0);
    root.fill(0);
    for (const { chosen } of recipients) chosen?.pairKey.fill(0);
  }
}

/** Sends the words, and returns the hash of their Envelope. No file has been looked at by then. */
async function sendMessage(tip: Tip, before: Bytes | null): Promise<Bytes> {
  const { order, tell, digits } = tip;
  const { message, files } = order;
  await payForLong(tip);
  const follow = files.length > 0 && { filesFollow: files.length };
  const content = { message, ...(before && { continues: before }), ...follow };
  const hash = await sendEnvelope(tip, content, [], files.length === 0, () =>
    tell({ kind: "letter", accessCode: digits }),
  );
  if (files.length > 0) tell({ kind: "words" });
  return hash;
}

/**
 * Sends the files that can be read, behind what is stored of the tip (`before`, if something is). One that cannot is
 * left out, and the others begin anew: an Envelope is bound to all of its body.
 */
async function sendChosen(tip: Tip, before: Bytes | null): Promise<Outcome> {
  const missing: Missing[] = [];
  let left: readonly Chosen[] = tip.order.files.map((file, index) => ({ file, index }));
  while (left.length > 0) {
    try {
      const continues = toHex(await sendThese(tip, left, before, missing.length));
      return { continues, missing, inDoubt: false, elsewhere: false };
    } catch (error) {
      if (error instanceof FinishedElsewhere) return { continues: "", missing, inDoubt: false, elsewhere: true };
      const file = badFile(error, left);
      if (file === null) return without(error, before, missing, left);
      const code = codeOf(error);
      missing.push({ file: file.index, code });
      left = left.filter((one) => one !== file);
      if (left.length === 0 && before === null) throw new FileError(code as FileError["code"], file.index);
      tip.tell({ kind: "skipped", file: file.index, code });
    }
  }
  return { continues: toHex(before ?? new Uint8Array()), missing, inDoubt: false, elsewhere: false };
}

/** The file for whose sake nothing of these was stored, or `null` when it was for another reason. */
function badFile(error: unknown, chosen: readonly Chosen[]): Chosen | null {
  if (error instanceof Unsent) return error.inDoubt ? null : badFile(error.error, chosen);
  return error instanceof FileError ? (chosen[error.index] ?? null) : null;
}

/** What is stored when none of these files is; throws the error when nothing is. */
function without(error: unknown, before: Bytes | null, missing: readonly Missing[], left: readonly Chosen[]): Outcome {
  if (before === null) throw error;
  const others = left.map(({ index }) => ({ file: index, code: codeOf(error) }));
  const inDoubt = error instanceof Unsent && error.inDoubt;
  return { continues: toHex(before), missing: [...missing, ...others], inDoubt, elsewhere: false };
}

/** Sends these files as one Envelope, and returns its hash. A tip without words says itself how many were left out. */
async function sendThese(tip: Tip, chosen: readonly Chosen[], before: Bytes | null, missing: number): Promise<Bytes> {
  const files = chosen.map(({ file }) => file);
  await probe(files);
  const follow = before === null && missing > 0 && { filesFollow: missing };
  const content = { message: new Uint8Array(), ...(before && { continues: before }), ...follow };
  return sendEnvelope(tip, content, files, true, () => {
    if (before === null) tip.tell({ kind: "letter", accessCode: tip.digits });
  });
}

/** Sends an Envelope without a body, and returns its hash; `opened` is called when it is stored. */
async function sendWords(envelope: OutgoingEnvelope, upload: Upload, opened: () => void): Promise<Bytes> {
  const { hash, trailer } = await endOf(envelope, []);
  demand(await upload.open(envelope.header, envelope.letter, trailer, true), "internal");
  opened();
  return hash;
}

/** Opens an upload of files, with what its source may continue it by, or with as many random bytes. */
async function place({ placing: plan, tell }: Tip, envelope: OutgoingEnvelope, upload: Upload): Promise<void> {
  const { header, letter } = envelope;
  const placing = await plan?.();
  for (let number = 0; ; number++) {
    const placed = (await placing?.(envelope, upload.token, number)) ?? null;
    try {
      demand(!(await upload.open(header, letter, placed ?? random(PLACED_SIZE), false)), "internal");
      upload.isContinuable = placed !== null;
      if (placed !== null) tell({ kind: "continuable" });
      return;
    } catch (error) {
      if (placed === null || codeOf(error) !== "draft-differs") throw error; // else another upload lies there
    }
  }
}

/** Ends an Envelope: `true` when it is stored, `false` when the server has other parts than these. */
async function finish(upload: Upload, end: EnvelopeEnd): Promise<boolean> {
  try {
    await upload.finish(end);
    return true;
  } catch (error) {
    if (codeOf(error) === "part-differs") return false;
    throw error;
  }
}

/**
 * Sends header, letter and body, ends the Envelope, and returns its hash; `opened` is called when header and letter are
 * stored. Throws `part-differs` when the server has other parts than were sent, in a second upload too.
 */
async function sendFiles(
  envelope: OutgoingEnvelope,
  files: readonly File[],
  begin: () => Upload,
  open: (upload: Upload) => Promise<void>,
  opened: () => void,
): Promise<Bytes> {
  for (let sealer = envelope.body, first = true; ; first = false) {
    const upload = begin();
    await open(upload);
    if (first) opened();
    await sendBody(upload, sealer, new BodyReader(files, envelope.bodySize));
    const end = await endOf(envelope, sealer.hashes);
    if (await finish(upload, end)) return end.hash;
    demand(first, "part-differs");
    // Parts of another session under the same token; or a server that lies.
    const hashes = await compareStored(upload, sealer, files, envelope.bodySize);
    const other = hashes && (await endOf(envelope, hashes));
    if (other !== null && (await finish(upload, other))) return other.hash;
    sealer = await sealer.again();
  }
}
