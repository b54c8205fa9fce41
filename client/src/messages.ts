// What page and worker say to each other. The page never sees a key, the worker never sees the page.

import type { Code } from "./errors.js";
import type { Bytes } from "./formats/base/bytes.js";
import type { Day } from "./formats/base/days.js";

/** An organisation with a manifest that is good today. */
export interface Organisation {
  /** Its id in hex. */
  readonly id: string;
  readonly name: string;
  /** Two capital letters, or empty. */
  readonly country: string;
  readonly languages: readonly string[];
}

/** Where the server takes and gives what. */
export interface Addresses {
  /** `/api/envelope` */
  readonly envelope: string;
  /** `/api/mailbox`; empty on a page that reads no mailbox. */
  readonly mailbox: string;
  /** A list of words; `{language}` stands in it. */
  readonly lists: string;
}

export type ToWorker =
  /** Check the manifests (their files, as text) and whether this browser can seal. */
  | { readonly kind: "start"; readonly manifests: readonly string[]; readonly addresses: Addresses }
  | { readonly kind: "send"; readonly order: Order }
  | { readonly kind: "stop" }
  /** Spell the access code of these digits as words. */
  | { readonly kind: "spell"; readonly digits: string; readonly language: string }
  /** Judge what is typed so far; `digits` is what it should be, where that is known. */
  | { readonly kind: "judge"; readonly turn: number; readonly typed: string; readonly digits: string | null }
  /** Open the mailbox of a typed access code. */
  | { readonly kind: "open"; readonly typed: string }
  /** Fetch a letter that did not come with the list. */
  | { readonly kind: "load"; readonly reply: string }
  | { readonly kind: "fetch"; readonly reply: string; readonly file: number }
  /** Delete the replies that were shown. */
  | { readonly kind: "delete" };

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
  /** The digits of the access code whose threads it joins; `null` makes a new one. */
  readonly accessCode: string | null;
}

export type FromWorker =
  | { readonly kind: "ready"; readonly organisations: readonly Organisation[] }
  /**
   * The letter is durable on the server: from now on a new access code is worth writing down. `null` when it was written
   * under the one that opened the mailbox.
   */
  | { readonly kind: "letter"; readonly accessCode: string | null; readonly checks: readonly CheckDigits[] }
  | {
      readonly kind: "progress";
      readonly bytes: number;
      readonly total: number;
      readonly rate: number | null;
      readonly remaining: number | null;
    }
  /** The line is in trouble and will be tried again, or (`null`) works again. */
  | { readonly kind: "connection"; readonly trouble: Code | null }
  | { readonly kind: "stored" }
  /** It ended without success; `file` is the index of the file that caused it. */
  | { readonly kind: "failed"; readonly code: Code; readonly file: number | null }
  /** `null` when the list of words cannot be used. */
  | { readonly kind: "spelled"; readonly words: readonly string[] | null }
  | { readonly kind: "judged"; readonly turn: number; readonly judgement: Judgement }
  /** The access code is right; its mailbox is being fetched. */
  | { readonly kind: "opening" }
  | {
      readonly kind: "opened";
      readonly accessCode: string;
      readonly replies: readonly Answer[];
      readonly pending: readonly PendingReply[];
      readonly others: number;
    }
  /** A letter was fetched; `null` when it is not to be shown. */
  | { readonly kind: "loaded"; readonly reply: string; readonly answer: Answer | null }
  | {
      readonly kind: "fetching";
      readonly reply: string;
      readonly file: number;
      readonly bytes: number;
      readonly total: number;
    }
  /** A file is whole, or (`null`) damaged. */
  | { readonly kind: "fetched"; readonly reply: string; readonly file: number; readonly blob: Blob | null }
  | { readonly kind: "deleted" }
  /** A mailbox could not be read: `bad-passphrase`, or what the server gave is not a list. */
  | { readonly kind: "unread"; readonly code: Code };

/** What source and organisation can compare by voice. */
export interface CheckDigits {
  readonly name: string;
  readonly digits: string;
}

/** A reply from an organisation that is known. */
export interface Answer {
  /** The Envelope's id in hex. */
  readonly id: string;
  /** When it came, as the server has it. */
  readonly day: Day;
  readonly organisation: Organisation;
  readonly text: string;
  readonly files: readonly { readonly name: string; readonly size: number }[];
}

/** A reply whose letter did not come with the list. */
export interface PendingReply {
  readonly id: string;
  readonly day: Day;
  /** Bytes that showing it costs. */
  readonly size: number;
}

/** What is known of an access code as it is typed. */
export interface Judgement {
  readonly unit: "digits" | "words";
  /** `unlisted`: the lists of words cannot be used. */
  readonly state: "loading" | "unlisted" | "unfinished" | "right" | "wrong";
  /** Digits or words so far, */
  readonly count: number;
  /** of how many; 0 when that is not known yet. */
  readonly all: number;
  /** The number (from 1) of the group or word that is wrong, when that can be told. */
  readonly at: number | null;
}
