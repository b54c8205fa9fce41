// Sending one tip: a new access code, then header and letter, then the body, sealed and uploaded run by run.

import { codeOf, demand, TipboxError } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { type Bytes, equal, toHex } from "../formats/base/bytes.js";
import type { Day } from "../formats/base/days.js";
import { ID_SIZE, MAX_RUN_PARTS, MAX_TYPE, PART_SIZE, SEAL_SIZE } from "../formats/base/limits.js";
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
import type { FileEntry } from "../formats/envelopes/letter.js";
import { checkDigits } from "../formats/envelopes/seals.js";
import * as keys from "../formats/manifest.js";
import type { CheckDigits, FromWorker, Order } from "../messages.js";
import type { ConnectionOptions } from "../net/http.js";
import { Meter } from "../net/meter.js";
import type { Payer } from "../net/payer.js";
import { askPrices, type Prices } from "../net/prices.js";
import { Upload, type UploadOptions } from "../net/upload.js";
import { BodyReader, probe } from "./files.js";
import { isValid } from "./names.js";

/** Runs of parts handled at once: one is sealed while another is uploaded. */
const LANES = 2;
/** Bytes of the longest message whose place costs no more than that of any text (docs/format.md, section 4.3). */
const LONG_MESSAGE = 16_384;
/** Sessions of others whose parts are sealed again for comparing; each reads all files once. */
const MOST_SESSIONS = 4;

/**
 * A file as the letter lists it. Lone surrogates in its name are replaced, and a type that the format cannot hold is
 * dropped.
 */
export function entryOf(file: File): FileEntry {
  const name = new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(file.name));
  const type = file.type.length <= MAX_TYPE && /^[\x20-\x7e]*$/.test(file.type) ? file.type : "";
  return { name, size: file.size, type };
}

async function recipientsOf(
  manifests: readonly keys.Manifest[],
  chosen: readonly string[],
  root: Bytes,
  today: Day,
): Promise<Recipient[]> {
  const isChosen = ({ id }: keys.Manifest): boolean => chosen.includes(toHex(id));
  // A page may be open for days. Nobody's tip depends on a manifest that was not chosen: it only loses its filler.
  const usable = manifests.filter((manifest) => isChosen(manifest) || isValid(manifest, today));
  return Promise.all(
    usable.map(async (manifest) => {
      keys.check(manifest, today);
      const { id: key, publicKey } = keys.currentKey(manifest, today);
      return {
        organisation: manifest.id,
        key,
        publicKey,
        chosen: isChosen(manifest)
          ? {
              pairKey: await accessCodes.pairKey(root, manifest.id),
              mailbox: await accessCodes.mailboxAddress(root, manifest.id),
            }
          : null,
      };
    }),
  );
}

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
 * Seals the body run by run and sends the runs, `LANES` at once; a run's ciphertext is kept until it is acknowledged.
 * All lanes draw from one generator, so runs are read one at a time and in order, and when it throws, every lane ends.
 */
export async function sendBody(upload: Upload, sealer: BodySealer, reader: BodyReader): Promise<void> {
  const spares: SpareMemory[] = [];
  async function* sealRuns(): AsyncGenerator<PendingRun, void> {
    while (reader.left > 0) {
      const spare = spares.pop();
      const plaintext = await reader.read(upload.length.parts * PART_SIZE, spare?.plain);
      yield { first: sealer.next, plaintext, sealing: sealer.seal(plaintext, spare?.sealed) };
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

/** The check digits of an Envelope with this hash, for each organisation that was chosen. */
async function checksOf(
  envelope: OutgoingEnvelope,
  manifests: readonly keys.Manifest[],
  hash: Bytes,
): Promise<CheckDigits[]> {
  const checks: CheckDigits[] = [];
  for (const { organisation, secrets } of envelope.seals) {
    if (!secrets) continue;
    const name = manifests.find(({ id }) => equal(id, organisation))?.name ?? "";
    checks.push({ name, digits: await checkDigits(secrets, hash) });
  }
  return checks;
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
  readonly loadPayer: () => Promise<typeof Payer>;
}

interface Sending {
  /** The access code in whose conversations it continues; `null` makes a new one. */
  readonly known: Bytes | null;
  readonly purse: Purse;
}

/** Whether words and files go in Envelopes of their own: the words first, when a place for files has a price. */
async function comeApart({ message, files, api }: Order, purse: Purse, signal: AbortSignal): Promise<boolean> {
  if (files.length === 0 && message.length <= LONG_MESSAGE) return false;
  // Asked again, so that nothing large runs into a refusal.
  purse.prices = (await askPrices(api, signal)) ?? purse.prices;
  if (purse.prices === null) return false;
  if (files.length > 0) return message.length > 0 && purse.prices.files > 0;
  purse.payer?.start({ ...purse.prices, price: purse.prices.long });
  return false;
}

/** A tip, sealed. */
interface Sealed {
  /** The words by themselves, when they come apart. */
  readonly words: OutgoingEnvelope | null;
  /** The files, or all of it. */
  readonly envelope: OutgoingEnvelope;
  /** Whether it has words and files, which may come apart yet. */
  readonly isMixed: boolean;
  /** The digits of a new access code. */
  readonly digits: string | null;
}

/** Text and files were to go together, and the server asks for work or to wait: the words go first, as a text. */
class WordsFirst extends TipboxError {
  constructor() {
    super("toll");
  }
}

/** Seals a tip. */
async function sealTip(
  order: Order,
  manifests: readonly keys.Manifest[],
  today: Day,
  known: Bytes | null,
  apart: boolean,
): Promise<Sealed> {
  const accessCode = known?.slice() ?? (await accessCodes.generate());
  const root = await accessCodes.rootOf(accessCode);
  const recipients = await recipientsOf(manifests, order.chosen, root, today);
  root.fill(0);
  const { message, language } = order;
  const files = order.files.map(entryOf);
  let words: OutgoingEnvelope | null = null;
  let envelope: OutgoingEnvelope;
  if (apart) {
    const filesFollow = files.length;
    words = await seal(recipients, { message, files: [], id: random(ID_SIZE), language, filesFollow });
    const { hash: continues } = await endOf(words, []);
    const nothing = new Uint8Array();
    envelope = await seal(recipients, { message: nothing, files, id: random(ID_SIZE), language, continues });
  } else envelope = await seal(recipients, { message, files, id: random(ID_SIZE), language });
  for (const { chosen } of recipients) chosen?.pairKey.fill(0);
  const digits = known === null ? accessCodes.digits(accessCode) : null;
  accessCode.fill(0);
  return { words, envelope, isMixed: !apart && message.length > 0 && files.length > 0, digits };
}

/** The options of the uploads of an Envelope, which tell the page how far it is; `isMixed`: of words and files. */
function telling(
  order: Order,
  envelope: OutgoingEnvelope,
  purse: Purse,
  tell: (news: FromWorker) => void,
  connection: Omit<ConnectionOptions, "onTrouble">,
  isMixed: boolean,
): () => UploadOptions {
  const trailerSize = SEAL_SIZE * envelope.seals.length;
  const total = envelope.header.length + envelope.letter.length + sealedBodySize(envelope.bodySize) + trailerSize;
  return () => {
    const meter = new Meter(total);
    const { agrees, loadPayer } = purse;
    const payer = isMixed ? null : purse.payer; // it works for a text: what is mixed may come apart yet
    if (!isMixed) purse.payer = null;
    return {
      api: order.api,
      ...connection,
      ...(payer && { payer }),
      ...(agrees && { agrees }),
      loadPayer,
      ...(isMixed && {
        onCrowd: () => {
          throw new WordsFirst();
        },
      }),
      onAcknowledged: (bytes) => {
        const now = performance.now();
        meter.add(bytes, now);
        tell({ kind: "progress", bytes: meter.bytes, total, rate: meter.rate(now), remaining: meter.remaining(now) });
      },
      onTrouble: (trouble) => tell({ kind: "connection", trouble }),
      onWork: (work) => tell({ kind: "working", work }),
    };
  };
}

/**
 * Sends one tip under a new access code, or under a `known` one, in whose conversations it continues. Returns when the
 * tip is stored; throws a `TipboxError`.
 */
export async function send(
  order: Order,
  manifests: readonly keys.Manifest[],
  today: Day,
  tell: (news: FromWorker) => void,
  connection: Omit<ConnectionOptions, "onTrouble">,
  { known, purse }: Sending,
): Promise<void> {
  await probe(order.files);
  const seals = (apart: boolean): Promise<Sealed> => sealTip(order, manifests, today, known, apart);
  try {
    const apart = await comeApart(order, purse, connection.signal);
    try {
      await sendSealed(order, manifests, await seals(apart), tell, connection, purse);
    } catch (error) {
      if (!(error instanceof WordsFirst)) throw error;
      await sendSealed(order, manifests, await seals(true), tell, connection, purse);
    }
  } finally {
    order.message.fill(0);
  }
}

/** Sends what is sealed. */
async function sendSealed(
  order: Order,
  manifests: readonly keys.Manifest[],
  { words, envelope, isMixed, digits }: Sealed,
  tell: (news: FromWorker) => void,
  connection: Omit<ConnectionOptions, "onTrouble">,
  purse: Purse,
): Promise<void> {
  const failure = new AbortController(); // ends the other lanes when one fails
  const signal = AbortSignal.any([connection.signal, failure.signal]);
  let uploads: Upload[] = [];
  const beginner = (one: OutgoingEnvelope, more: Partial<UploadOptions> = {}): (() => Upload) => {
    const options = telling(order, one, purse, tell, { ...connection, signal }, isMixed);
    return () => {
      const upload = new Upload({ ...options(), ...more });
      uploads.push(upload);
      return upload;
    };
  };
  let opened = (): void => {
    purse.payer?.stop(); // it worked for a text, and none follows
    tell({ kind: "letter", accessCode: digits });
  };
  try {
    if (words !== null) {
      await sendWords(words, beginner(words, { onAcknowledged: () => undefined })(), opened); // the files are measured
      tell({ kind: "words" });
      uploads = []; // what is in doubt from now on is the files
      opened = () => undefined;
    }
    const hash =
      envelope.bodySize === 0
        ? await sendWords(envelope, beginner(envelope)(), opened)
        : await sendFiles(envelope, order.files, beginner(envelope), opened);
    tell({ kind: "checks", checks: await checksOf(envelope, manifests, hash), files: order.files.length });
  } catch (error) {
    failure.abort(new TipboxError("stopped"));
    // A server that has other parts each time may as well have these.
    const isInDoubt = codeOf(error) === "part-differs" || uploads.some(({ mayBeStored }) => mayBeStored);
    if (isInDoubt) tell({ kind: "doubt", accessCode: digits });
    throw error;
  } finally {
    for (const one of [words, envelope]) if (one !== null) wipeSeals(one);
  }
}

/** Sends an Envelope without a body, and returns its hash; `opened` is called when it is stored. */
async function sendWords(envelope: OutgoingEnvelope, upload: Upload, opened: () => void): Promise<Bytes> {
  const { hash, trailer } = await endOf(envelope, []);
  demand(await upload.open(envelope.header, envelope.letter, trailer), "internal");
  opened();
  return hash;
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
  opened: () => void,
): Promise<Bytes> {
  for (let sealer = envelope.body, first = true; ; first = false) {
    const upload = begin();
    demand(!(await upload.open(envelope.header, envelope.letter)), "internal");
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
