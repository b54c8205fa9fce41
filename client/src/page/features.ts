// Whether this browser can seal at all: only what is found here, or by the worker's own trial, is the browser's fault.

/** A key whose form is right, of nobody: the base point. */
const KEY = new Uint8Array(32).fill(0x66);
KEY[0] = 0x58;

/** Whether the browser has what sealing needs; before it says so, there is no field. */
export async function canSeal(): Promise<boolean> {
  const { subtle } = globalThis.crypto ?? {};
  if (!isSecureContext || subtle === undefined || globalThis.Worker === undefined) return false;
  try {
    await subtle.importKey("raw", KEY, "Ed25519", false, ["verify"]);
    await subtle.importKey("raw", KEY, "AES-GCM", false, ["encrypt"]);
    await subtle.importKey("raw", KEY, "HKDF", false, ["deriveBits"]);
    return true;
  } catch {
    return false;
  }
}
