// Sending one tip: a new access code, then header and letter, then the body, sealed and uploaded run by run.

import { demand, TipboxError } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { type Bytes, toHex } from "../formats/base/bytes.js";
import type { Day } from "../formats/base/days.js";
import { ID_SIZE, MAX_TYPE, PART_SIZE } from "../formats/base/limits.js";
import { partsOf, sealedSize } from "../formats/base/padding.js";
import { random } from "../formats/base/primitives.js";
import type { BodySealer } from "../formats/envelopes/body.js";
import { type Recipient, seal } from "../formats/envelopes/envelope.js";
import type { FileEntry } from "../formats/envelopes/letter.js";
import * as keys from "../formats/manifest.js";
import type { CheckDigits, FromWorker, Order } from "../messages.js";
import type { ConnectionOptions } from "../net/http.js";
import { Meter } from "../net/meter.js";
import { Upload } from "../net/upload.js";
import { BodyReader, probe } from "./files.js";

/** Runs of parts handled at once: one is sealed while another is uploaded. */
const LANES = 2;

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
  return Promise.all(
    manifests.map(async (manifest) => {
      const { id: key, publicKey } = keys.currentKey(manifest, today);
      const pairKey = chosen.includes(toHex(manifest.id)) ? await accessCodes.pairKey(root, manifest.id) : null;
      return { organisation: manifest.id, key, publicKey, pairKey };
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
  known: Bytes | null = null,
): Promise<void> {
  await probe(order.files);
  const accessCode = known?.slice() ?? (await accessCodes.generate());
  const secrets = await accessCodes.secrets(accessCode);
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
  const checks: CheckDigits[] = [];
  for (const [i, { pairKey }] of recipients.entries()) {
    if (pairKey === null) continue;
    checks.push({
      name: manifests[i]?.name ?? "",
      digits: await accessCodes.checkDigits(pairKey, envelope.headerHash),
    });
    pairKey.fill(0);
  }
  accessCodes.wipe(secrets);
  const digits = known === null ? accessCodes.digits(accessCode) : null;
  accessCode.fill(0);

  const total = envelope.header.length + envelope.letter.length + sealedSize(envelope.bodySize);
  const meter = new Meter(total);
  const failure = new AbortController(); // ends the other lanes when one fails
  const upload = new Upload({
    api: order.api,
    ...connection,
    signal: AbortSignal.any([connection.signal, failure.signal]),
    onAcknowledged: (bytes) => {
      const now = performance.now();
      meter.add(bytes, now);
      tell({ kind: "progress", bytes: meter.bytes, total, rate: meter.rate(now), remaining: meter.remaining(now) });
    },
    onTrouble: (trouble) => tell({ kind: "connection", trouble }),
  });
  try {
    const whole = await upload.open(envelope.header, envelope.letter);
    demand(whole === (envelope.bodySize === 0), "internal");
    tell({ kind: "letter", accessCode: digits, checks });
    if (!whole) {
      await sendBody(upload, envelope.body, new BodyReader(order.files, envelope.bodySize));
      await upload.finish();
    }
  } catch (error) {
    failure.abort(new TipboxError("stopped"));
    throw error;
  }
}
