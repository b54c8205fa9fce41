// What browser this is. Whether it can seal at all: only what is found here, or by the worker's own trial, is the
// browser's fault. And what it looks like, which decides over words only.

/** Whether it is a phone's or a tablet's: there Tor Browser shows no “New Identity” that does all of it. */
function isPhone({ userAgent }: { readonly userAgent: string }): boolean {
  return /Android|Mobile|iPad|iPhone/.test(userAgent);
}

/** Whether it is asked from elsewhere than Tor Browser, which is a Firefox that reaches onion services. */
function isElsewhere({ userAgent }: { readonly userAgent: string }, { protocol, hostname }: Location | URL): boolean {
  return protocol.startsWith("http") && !(hostname.endsWith(".onion") && /\bFirefox\//.test(userAgent));
}

/**
 * The kinds of device and browser that this is: what is marked as for others is left out. One with `identity` has Tor
 * Browser's “New Identity”, any other has to be closed as a whole.
 */
export function kinds(browser: { readonly userAgent: string }, place: Location | URL): readonly string[] {
  const phone = isPhone(browser);
  const elsewhere = isElsewhere(browser, place);
  const isTor = !elsewhere && place.protocol.startsWith("http");
  return [phone && "phone", elsewhere && "elsewhere", isTor && !phone ? "identity" : "whole"].filter(
    (kind) => kind !== false,
  );
}

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
