// What page and worker say to each other. The page never sees a key, the worker never sees the page.

import type { Bytes } from "./bytes.js";
import type { Code } from "./errors.js";

/** An organisation with a manifest that is good today. */
export interface Organisation {
  /** Its id in hex. */
  readonly id: string;
  readonly name: string;
  /** Two capital letters, or empty. */
  readonly country: string;
  readonly languages: readonly string[];
}

export type ToWorker =
  /** Check the manifests (their files, as text) and whether this browser can seal. */
  | { readonly kind: "start"; readonly manifests: readonly string[] }
  | { readonly kind: "send"; readonly order: Order }
  | { readonly kind: "stop" };

/** What to send, and to whom. */
export interface Order {
  /** The address of `/api/envelope`. */
  readonly api: string;
  readonly message: Bytes;
  readonly files: readonly File[];
  /** Ids of the chosen organisations. */
  readonly chosen: readonly string[];
  /** BCP 47, the page's. */
  readonly language: string;
}

export type FromWorker =
  | { readonly kind: "ready"; readonly organisations: readonly Organisation[] }
  /** The letter is durable on the server: from now on the Passphrase is worth writing down. */
  | { readonly kind: "letter"; readonly passphrase: string; readonly checks: readonly Check[] }
  | { readonly kind: "progress"; readonly bytes: number; readonly total: number; readonly rate: number | null; readonly remaining: number | null }
  /** The line is in trouble and will be tried again, or (`null`) works again. */
  | { readonly kind: "line"; readonly trouble: Code | null }
  | { readonly kind: "stored" }
  /** It ended without success; `file` is the index of the file that caused it. */
  | { readonly kind: "failed"; readonly code: Code; readonly file: number | null };

/** What source and organisation can compare by voice. */
export interface Check {
  readonly name: string;
  readonly digits: string;
}
