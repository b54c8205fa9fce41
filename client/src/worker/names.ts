// Manifests: whether they are of those whom the page lists, and who can be written to.

import { type Code, codeOf, demand, TipboxError } from "../errors.js";
import { type Bytes, toBase64, toHex } from "../formats/base/bytes.js";
import type { Day } from "../formats/base/days.js";
import * as keys from "../formats/manifest.js";
import type { Organisation } from "../messages.js";

/**
 * The manifests that are good, of organisations that the page lists, and that `check` takes, one for each: the one with
 * the highest serial. `refused` is told why another is not among them. Throws `unsupported`.
 */
export async function newest(
  files: readonly Bytes[],
  listed: readonly Organisation[],
  check?: (manifest: keys.Manifest) => Promise<void>,
  refused?: (code: Code) => void,
): Promise<keys.Manifest[]> {
  const identities = new Set(listed.map(({ identity }) => identity));
  const good = new Map<string, keys.Manifest>();
  for (const file of files) {
    try {
      const manifest = await keys.parse(file);
      demand(identities.has(toBase64(manifest.identity)), "foreign-key");
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
