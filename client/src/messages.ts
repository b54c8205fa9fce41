// The messages between page and worker. The page never gets a key, and the worker never touches the page.

import type { Code } from "./errors.js";
import type { Bytes } from "./formats/base/bytes.js";
import type { Day } from "./formats/base/days.js";

/** An organisation as the page lists it: whoever verifies the bytes of the page verifies its identity key. */
export interface Organisation {
  /** Its id in hex. */
  readonly id: string;
  /** Its identity key in base64. */
  readonly identity: string;
  readonly name: string;
  /** Its country and the languages that it reads, by their names in the page's language; or empty. */
  readonly where: string;
  /** One line on who they are, in their own words; or empty. */
  readonly about: string;
  /** The language of that line; or empty. */
  readonly aboutIn: string;
}

/** An access code in words. */
export interface Spelled {
  readonly words: readonly string[];
  /** The language of the list that they are of. */
  readonly language: string;
}

/** A notice that a desk key of one of the page's organisations signed. */
export interface Said {
  /** The organisation's id in hex, and its name by its manifest. */
  readonly organisation: string;
  readonly name: string;
  /** The language of the words. */
  readonly language: string;
  readonly words: string;
  /** The first day on which it is shown. */
  readonly from: Day;
}

/** Addresses on the server. */
export interface Addresses {
  /** `/api/envelope` */
  readonly envelope: string;
  /** `/api/mailbox` */
  readonly mailbox: string;
  /** Lists of words, with `{language}` as a placeholder. */
  readonly lists: string;
}

export type ToWorker =
  /** Say whether the worker is there. */
  | { readonly kind: "start"; readonly listed: readonly Organisation[]; readonly addresses: Addresses }
  /** What `/api/now` answered: check its manifests against the page's list, and whether this browser can seal. */
  | { readonly kind: "told"; readonly text: string; readonly language: string }
  /** Somebody writes: what a place costs can be worked for meanwhile. */
  | { readonly kind: "write" }
  | { readonly kind: "send"; readonly order: Order }
  /** Find the uploads of a typed access code that can be continued. */
  | { readonly kind: "find"; readonly typed: string }
  /** Go on with one of those that were found, by its index, with these files. */
  | { readonly kind: "continue"; readonly upload: number; readonly files: readonly File[] }
  | { readonly kind: "stop" }
  /** The source agrees to the work that the server asks for. */
  | { readonly kind: "agree" }
  /** Try again now what waits for the line. */
  | { readonly kind: "retry" }
  /** Spell the access code of these digits as words. */
  | { readonly kind: "spell"; readonly digits: string; readonly language: string }
  /** Judge what is typed so far; `digits` is what it should be, or `null` if that is unknown. */
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
  /** The page's language, a BCP 47 tag. */
  readonly language: string;
  /** The digits of the access code to send under; `null` makes a new one. */
  readonly accessCode: string | null;
  /** The hash of the Envelope, in hex, that it continues as one tip, or `null`. */
  readonly continues: string | null;
  /** Whether the source may have to continue the upload of the files later. */
  readonly mayContinue: boolean;
  /** The index of the upload that was found and is given up for this one, or `null`. */
  readonly replaces: number | null;
}

/** An upload that can be continued, as its letter says. */
export interface FoundUpload {
  readonly files: readonly { readonly name: string; readonly size: number }[];
  /** Ids of the organisations that it is for. */
  readonly chosen: readonly string[];
  /** The hash of the Envelope, in hex, that it continues as one tip, or `null`. */
  readonly continues: string | null;
}

export type FromWorker =
  /** The worker is there. */
  | { readonly kind: "here" }
  /** The organisations that can be written to today; `closed` is why nothing can be sealed, or `null`. */
  | { readonly kind: "ready"; readonly organisations: readonly Organisation[]; readonly closed: Code | null }
  /** What organisations of the page say today, in their words. */
  | { readonly kind: "notices"; readonly notices: readonly Said[] }
  /**
   * Header and letter are stored: from now on a new access code may have answers. `null` for a message under the one
   * that opened the mailbox.
   */
  | { readonly kind: "letter"; readonly accessCode: string | null }
  /** The access code continues the upload of the files from now on, until it is finished or 14 days old. */
  | { readonly kind: "continuable" }
  /** Uploads of a typed access code; `refused`: how many more there are of which the server gave other bytes. */
  | {
      readonly kind: "found";
      readonly accessCode: string;
      readonly uploads: readonly FoundUpload[];
      readonly refused: number;
    }
  /** They could not be asked for. */
  | { readonly kind: "unfound"; readonly code: Code }
  /** These files of the upload, by their index, are not among those that were chosen. */
  | { readonly kind: "unmatched"; readonly files: readonly number[] }
  /** What lies there is not of these files. */
  | { readonly kind: "differs" }
  /** Everything is sealed: the check digits, and how many files they cover beside the words. */
  | { readonly kind: "checks"; readonly checks: readonly CheckDigits[]; readonly files: number }
  | {
      readonly kind: "progress";
      readonly bytes: number;
      readonly total: number;
      /** Bytes of the files, padding included, that are among them. */
      readonly plain: number;
      readonly rate: number | null;
      readonly remaining: number | null;
    }
  /**
   * A request failed and is repeated after a pause in milliseconds, or one is under way and nothing is heard of it (no
   * pause), or (`null`) requests succeed again.
   */
  | { readonly kind: "connection"; readonly trouble: Code | null; readonly pause: number | null }
  /** The same of what is read: answers, lists of words. */
  | { readonly kind: "reading"; readonly trouble: Code | null }
  /** The server's toll is worked for, or (`null`) was paid. */
  | { readonly kind: "working"; readonly work: Work | null }
  /** The server asks for so many seconds of a phone's work: more than is done without asking. */
  | { readonly kind: "asked"; readonly seconds: number }
  /** The words are stored by themselves; the files follow. */
  | { readonly kind: "words" }
  /** A file is left out; `file` is its index in the order. */
  | { readonly kind: "skipped"; readonly file: number; readonly code: Code }
  /**
   * It ended: all of it is stored but the missing files, which may have arrived when `inDoubt`. `elsewhere`: another tab
   * or program finished it, and its check digits and what `continues` are not known here.
   */
  | {
      readonly kind: "stored";
      readonly continues: string;
      readonly missing: readonly Missing[];
      readonly inDoubt: boolean;
      readonly elsewhere: boolean;
    }
  /** Sending fails, but the message may have arrived: the new access code, `null` for one that is known. */
  | { readonly kind: "doubt"; readonly accessCode: string | null }
  /** Sending or starting failed; `file` is the index of the file that caused it. */
  | { readonly kind: "failed"; readonly code: Code; readonly file: number | null }
  /** `null` when the list of words cannot be used. */
  | { readonly kind: "spelled"; readonly spelled: Spelled | null }
  | { readonly kind: "judged"; readonly turn: number; readonly judgement: Judgement }
  /** The access code is right; its mailbox is being fetched. */
  | { readonly kind: "opening" }
  | {
      readonly kind: "opened";
      readonly accessCode: string;
      readonly replies: readonly Answer[];
      readonly pending: readonly PendingReply[];
      readonly others: number;
      readonly leftOut: number;
    }
  /** A letter was fetched; `null` if it cannot be shown. */
  | { readonly kind: "loaded"; readonly reply: string; readonly answer: Answer | null }
  | {
      readonly kind: "fetching";
      readonly reply: string;
      readonly file: number;
      readonly bytes: number;
      readonly total: number;
    }
  /** A complete file, or `null` if it is damaged. */
  | { readonly kind: "fetched"; readonly reply: string; readonly file: number; readonly blob: Blob | null }
  | { readonly kind: "deleted" }
  /**
   * A mailbox could not be read: `bad-passphrase`, or what the server gave cannot be used; `deleting` when it was to
   * delete something, which it may have done.
   */
  | { readonly kind: "unread"; readonly code: Code; readonly deleting: boolean };

/** A file that was not stored, by its index in the order, and why. */
export interface Missing {
  readonly file: number;
  readonly code: Code;
}

/** How far the work for a place is: steps that are done of all, and the seconds that are left by the pace so far. */
export interface Work {
  readonly solved: number;
  readonly total: number;
  readonly remaining: number | null;
}

/** Digits that source and organisation can read to each other: equal ones prove that the message arrived unchanged. */
export interface CheckDigits {
  readonly name: string;
  readonly digits: string;
}

/** A reply from the organisation whose pair key opened it. */
export interface Answer {
  /** The Envelope's id in hex. */
  readonly id: string;
  /** The day on which it was sealed, according to its writer. */
  readonly day: Day;
  /** The organisation's id in hex. */
  readonly organisation: string;
  /** Its name by the page's list, `null` when it is not there. */
  readonly from: string | null;
  readonly text: string;
  readonly files: readonly { readonly name: string; readonly size: number }[];
}

/** A reply whose letter did not come with the list. */
export interface PendingReply {
  readonly id: string;
  readonly day: Day;
  /** Bytes to load before it can be shown. */
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
  /** The number (from 1) of the group or word that is wrong, or `null` if that is unknown. */
  readonly at: number | null;
}
