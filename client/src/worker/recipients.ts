// The organisations of a page: those whose manifests are valid today.

import { TipboxError } from "../errors.js";
import type { Bytes } from "../formats/base/bytes.js";
import type { Day } from "../formats/base/days.js";
import { hpkeSeal } from "../formats/base/hpke.js";
import { ID_SIZE, KEY_SIZE } from "../formats/base/limits.js";
import { random } from "../formats/base/primitives.js";
import * as keys from "../formats/manifest.js";
import type { Organisation } from "../messages.js";
import { newest } from "./names.js";

/**
 * The manifests that are valid on `today`, one for each organisation: the one with the highest serial. Tries to seal to
 * each of them, so that a browser that cannot seal is found out before anything is sent. Throws `unsupported`,
 * `clock`, `no-keys`; and `foreign-key` when one of them is of nobody whom the page lists: a server that gives such a
 * key wants to read along, and nothing is sealed for it to carry.
 */
export async function readManifests(
  files: readonly Bytes[],
  listed: readonly Organisation[],
  today: Day,
): Promise<keys.Manifest[]> {
  let clock = false;
  let foreign = false;
  const manifests = await newest(
    files,
    listed,
    async (manifest) => {
      keys.check(manifest, today);
      await hpkeSeal(keys.currentKey(manifest, today).publicKey, random(ID_SIZE), random(KEY_SIZE));
    },
    (code) => {
      foreign ||= code === "foreign-key";
      clock ||= code === "expired" || code === "not-yet-valid" || code === "no-current-key";
    },
  );
  if (foreign) throw new TipboxError("foreign-key");
  if (manifests.length === 0) throw new TipboxError(clock ? "clock" : "no-keys");
  return manifests;
}
