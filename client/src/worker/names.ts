// What the worker that reads answers needs of manifests: names, and who can be written to. It seals nothing, and so
// loads nothing that seals.

import { type Code, codeOf, TipboxError } from "../errors.js";
import { type Bytes, toHex } from "../formats/base/bytes.js";
import type { Day } from "../formats/base/days.js";
import * as keys from "../formats/manifest.js";

/**
 * The manifests with good signatures, one for each organisation: the one with the highest serial. Expired ones too: an
 * organisation that has stopped is still the one that wrote. Throws `unsupported`.
 */
export async function readNames(files: readonly Bytes[]): Promise<keys.Manifest[]> {
  return await newest(files);
}

/**
 * The manifests that are good and that `check` takes, one for each organisation: the one with the highest serial.
 * `refused` is told why another is not among them. Throws `unsupported`.
 */
export async function newest(
  files: readonly Bytes[],
  check?: (manifest: keys.Manifest) => Promise<void>,
  refused?: (code: Code) => void,
): Promise<keys.Manifest[]> {
  const good = new Map<string, keys.Manifest>();
  for (const file of files) {
    try {
      const manifest = await keys.parse(file);
      await check?.(manifest);
      const known = good.get(toHex(manifest.id));
      if (known !== undefined) keys.checkReplaces(manifest, known);
      good.set(toHex(manifest.id), manifest);
    } catch (error) {
      const code = codeOf(error);
      if (code === "internal" || code === "unsupported") throw new TipboxError("unsupported");
      refused?.(code);
    }
  }
  return [...good.values()];
}

/** Whether one can write to an organisation today. */
export function isValid(manifest: keys.Manifest, today: Day): boolean {
  try {
    keys.check(manifest, today);
    keys.currentKey(manifest, today);
    return true;
  } catch {
    return false;
  }
}
