// What a tip is sealed with, whichever way it leaves: the files as its letter lists them, whose slots it has, and the check
// digits of what was sealed.

import { demand } from "../errors.js";
import * as accessCodes from "../formats/access_code.js";
import { type Bytes, equal, toHex } from "../formats/base/bytes.js";
import type { Day } from "../formats/base/days.js";
import { MAX_TYPE } from "../formats/base/limits.js";
import type { OutgoingEnvelope, Recipient } from "../formats/envelopes/envelope.js";
import type { FileEntry } from "../formats/envelopes/letter.js";
import { checkDigits } from "../formats/envelopes/seals.js";
import * as keys from "../formats/manifest.js";
import type { CheckDigits } from "../messages.js";
import { isValid } from "./names.js";

/**
 * A file as the letter lists it. Lone surrogates in its name are replaced, and a type that the format cannot hold is
 * dropped.
 */
export function entryOf(file: File): FileEntry {
  const name = new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(file.name));
  const type = file.type.length <= MAX_TYPE && /^[\x20-\x7e]*$/.test(file.type) ? file.type : "";
  return { name, size: file.size, type };
}

/**
 * One slot for each organisation that can be sealed to; nobody is a filler who was chosen. Throws
 * `unknown-organisation` when one that was chosen has no manifest: nobody is left out in silence.
 */
export async function recipientsOf(
  manifests: readonly keys.Manifest[],
  chosen: readonly string[],
  root: Bytes,
  today: Day,
): Promise<Recipient[]> {
  const isChosen = ({ id }: keys.Manifest): boolean => chosen.includes(toHex(id));
  // A page may be open for days. Nobody's tip depends on a manifest that was not chosen: it only loses its filler.
  const usable = manifests.filter((manifest) => isChosen(manifest) || isValid(manifest, today));
  demand(usable.filter(isChosen).length >= chosen.length, "unknown-organisation");
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

/** The check digits of an Envelope with this hash, for each organisation that was chosen. */
export async function checksOf(
  envelope: Pick<OutgoingEnvelope, "seals">,
  manifests: readonly Pick<keys.Manifest, "id" | "name">[],
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
