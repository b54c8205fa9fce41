// The way of one tip: Passphrase, letter, body, each sealed here and uploaded run by run.

import type { BodySealer } from "./body.js";
import { type Bytes, toHex } from "./bytes.js";
import type { Day } from "./days.js";
import { codeOf, demand, TipboxError } from "./errors.js";
import { type Recipient, seal } from "./envelope.js";
import { BodyReader, probe } from "./files.js";
import * as keys from "./keys.js";
import type { FileEntry } from "./letter.js";
import { ID_SIZE, KEY_SIZE, MAX_TYPE, PART_SIZE, SEALED_PART_SIZE, TAG_SIZE } from "./limits.js";
import type { LineOptions } from "./line.js";
import type { Check, FromWorker, Order } from "./messages.js";
import { Meter } from "./meter.js";
import { sealedSize } from "./padding.js";
import * as passphrases from "./passphrase.js";
import { hpkeSeal, random } from "./primitives.js";
import { type Run, Upload } from "./upload.js";

/** Runs under way at once: one is sealed while another travels. */
const LANES = 2;
/** Parts that are read at once: browsers read pieces of 1 MiB faster than larger ones, several at a time. */
const PIECE_PARTS = 16;

/** Reads the manifests, keeps those that are good today, one for each organisation; tries whether sealing works. */
export async function readManifests(files: readonly Bytes[], today: Day): Promise<keys.Manifest[]> {
  const good = new Map<string, keys.Manifest>();
  let clock = false;
  for (const file of files) {
    try {
      const manifest = await keys.parse(file);
      keys.check(manifest, today);
      await hpkeSeal(keys.currentKey(manifest, today).publicKey, random(ID_SIZE), random(KEY_SIZE));
      const known = good.get(toHex(manifest.id));
      if (known !== undefined) keys.checkReplaces(manifest, known);
      good.set(toHex(manifest.id), manifest);
    } catch (error) {
      const code = codeOf(error);
      if (code === "internal" || code === "unsupported") throw new TipboxError("unsupported");
      clock ||= code === "expired" || code === "not-yet-valid" || code === "no-current-key";
    }
  }
  if (good.size === 0) throw new TipboxError(clock ? "clock" : "no-keys");
  return [...good.values()];
}

/** A file as the letter lists it: well-formed text, and a type only if the format can hold it. */
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
  return Promise.all(
    manifests.map(async (manifest) => {
      const { id: key, publicKey } = keys.currentKey(manifest, today);
      const pairKey = chosen.includes(toHex(manifest.id)) ? await passphrases.pairKey(root, manifest.id) : null;
      return { organisation: manifest.id, key, publicKey, pairKey };
    }),
  );
}

/** Reads and seals the next `count` parts. Which bytes and which counters is settled before anything is awaited. */
async function sealRun(sealer: BodySealer, reader: BodyReader, count: number): Promise<Run> {
  const first = sealer.next;
  const sealed = new Uint8Array(Math.min(count * PART_SIZE, reader.left) + count * TAG_SIZE);
  const pieces: Promise<void>[] = [];
  for (let done = 0; done < count; done += PIECE_PARTS) {
    const parts = Math.min(PIECE_PARTS, count - done);
    pieces.push(sealPiece(reader.read(parts * PART_SIZE), sealer.take(parts), sealed.subarray(done * SEALED_PART_SIZE)));
  }
  await Promise.all(pieces);
  return { first, count, sealed };
}

async function sealPiece(read: Promise<Bytes>, seal: (plaintext: Bytes) => Promise<Bytes[]>, target: Bytes): Promise<void> {
  const plaintext = await read;
  const parts = await seal(plaintext);
  plaintext.fill(0);
  for (const [i, part] of parts.entries()) target.set(part, i * SEALED_PART_SIZE);
}

/** Seals the body run by run and sends the runs, a few at once; a run's ciphertext lives until it is acknowledged. */
export async function sendBody(upload: Upload, sealer: BodySealer, reader: BodyReader): Promise<void> {
  const lane = async (): Promise<void> => {
    for (;;) {
      const count = Math.min(upload.length.parts, sealer.parts - sealer.next);
      if (count === 0) return;
      await upload.send(await sealRun(sealer, reader, count));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/**
 * Sends one tip: under a new Passphrase, or under one that is `known`, into the threads that it has. Returns when it is
 * stored; throws a `TipboxError`.
 */
export async function send(
  order: Order,
  manifests: readonly keys.Manifest[],
  today: Day,
  tell: (news: FromWorker) => void,
  line: Omit<LineOptions, "onLine">,
  known: Bytes | null = null,
): Promise<void> {
  await probe(order.files);
  const passphrase = known?.slice() ?? (await passphrases.generate());
  const secrets = await passphrases.secrets(passphrase);
  const recipients = await recipientsOf(manifests, order.chosen, secrets.root, today);
  const envelope = await seal(recipients, {
    message: order.message,
    files: order.files.map(entryOf),
    id: random(ID_SIZE),
    kind: "tip",
    language: order.language,
    mailbox: secrets.mailboxAddress,
    replyKey: secrets.replyPublic,
  });
  order.message.fill(0);
  const checks: Check[] = [];
  for (const [i, { pairKey }] of recipients.entries()) {
    if (pairKey === null) continue;
    checks.push({ name: manifests[i]?.name ?? "", digits: await passphrases.checkDigits(pairKey, envelope.headerHash) });
    pairKey.fill(0);
  }
  passphrases.wipe(secrets);
  const digits = known === null ? passphrases.digits(passphrase) : null;
  passphrase.fill(0);

  const total = envelope.header.length + envelope.letter.length + sealedSize(envelope.bodySize);
  const meter = new Meter(total);
  const failure = new AbortController(); // ends the other lanes when one fails
  const upload = new Upload({
    api: order.api,
    ...line,
    signal: AbortSignal.any([line.signal, failure.signal]),
    onAcknowledged: (bytes) => {
      const now = performance.now();
      meter.add(bytes, now);
      tell({ kind: "progress", bytes: meter.bytes, total, rate: meter.rate(now), remaining: meter.remaining(now) });
    },
    onLine: (trouble) => tell({ kind: "line", trouble }),
  });
  try {
    const whole = await upload.open(envelope.header, envelope.letter);
    demand(whole === (envelope.bodySize === 0), "internal");
    tell({ kind: "letter", passphrase: digits, checks });
    if (!whole) {
      await sendBody(upload, envelope.body, new BodyReader(order.files, envelope.bodySize));
      await upload.finish();
    }
  } catch (error) {
    failure.abort(new TipboxError("stopped"));
    throw error;
  }
}
