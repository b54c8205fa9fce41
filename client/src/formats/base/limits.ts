// The sizes and bounds of docs/format.md, in bytes unless the name says otherwise.

const KIB = 1024;
const MIB = 1024 * KIB;

export const VERSION = 1;
export const KEY_SIZE = 32;
export const HASH_SIZE = 32;
export const ID_SIZE = 16;
export const TAG_SIZE = 16;
export const SALT_SIZE = 32;
export const SIGNATURE_SIZE = 64;
export const MLKEM_PUBLIC_SIZE = 1184;
/** Its 768 coefficients, 12 bits each; a seed follows. */
export const MLKEM_COEFFICIENTS_SIZE = 1152;
export const MLKEM_MODULUS = 3329;
export const XWING_PUBLIC_SIZE = 1216;
export const XWING_ENC_SIZE = 1120;

// Canonical JSON
export const MAX_JSON_DEPTH = 8;

// Key manifest
export const MAX_MANIFEST = 64 * KIB;
export const MAX_RECEIVING_KEYS = 16;
export const MAX_LANGUAGES = 16;
export const MAX_LANGUAGE = 35;
export const MAX_ORGANISATION_NAME = 200;
export const MAX_SERIAL = 2 ** 31 - 1;
export const MAX_MANIFEST_DAYS = 91;
export const MAX_NOTICE = 40 * 1024;
export const MAX_NOTICE_TEXT = 2000;
export const MAX_NOTICE_DAYS = 91;
export const MAX_NOTICES = 8;
export const MAX_RECEIVING_KEY_DAYS = 91;
export const SKEW_DAYS = 1;

// Access code
export const ACCESS_CODE_DIGITS = 36;
export const ROOT_ROUNDS = 600_000;

// Envelope
export const MAGIC = "\x89tipbox\n";
export const HEADER_FIXED = 120;
/** Bytes from which the size of a header follows. */
export const HEADER_PREFIX = 12;
/** Content key, pair key, mailbox address and seal secret. */
export const SLOT_SECRETS = 4 * KEY_SIZE;
export const SLOT_SEALED = XWING_ENC_SIZE + SLOT_SECRETS + TAG_SIZE;
export const SLOT_SIZE = 2 * ID_SIZE + SLOT_SEALED;
export const MAX_SLOTS = 32;
/** What changes from day to day: manifests of as many organisations as a tip has slots, of the largest, as JSON. */
export const MAX_NOW = 2 * MAX_SLOTS * MAX_MANIFEST;
export const LETTER_BUCKETS: readonly number[] = [8 * KIB, 20 * KIB, 68 * KIB];
export const MAX_LETTER = 4 * MIB;
/** Header and letter. */
export const MAX_OPENING = HEADER_FIXED + MAX_SLOTS * SLOT_SIZE + MAX_LETTER + TAG_SIZE;
export const MAX_META = 2 * MIB;
export const MAX_MESSAGE = 1_000_000;
export const MAX_FILES = 1000;
export const MAX_NAME = 255;
export const MAX_TYPE = 127;
export const MAX_FILES_FOLLOW = 1000;
export const MAX_CONSENT_LEVEL = 5;
export const MAX_NEVER = 8;
export const MAX_NEVER_TEXT = 200;
export const PART_SIZE = 64 * KIB;
export const SESSION_NONCE_SIZE = 16;
export const ENVELOPE_PART_SIZE = SESSION_NONCE_SIZE + PART_SIZE + TAG_SIZE;
/** A tag of the trailer. */
export const SEAL_SIZE = 32;
export const MAX_BODY = 2 ** 40;
/** Parts in one request (docs/protocol.md, section 3). */
export const MAX_RUN_PARTS = 64;

// Capsules
/** Places in which capsules of one access code can lie. */
export const CAPSULE_PLACES = 4;
export const CAPSULE_SIZE = SALT_SIZE + 4 * KEY_SIZE + 4 + MAX_SLOTS * KEY_SIZE + TAG_SIZE;
/** A place address and what lies there. */
export const PLACED_SIZE = HASH_SIZE + CAPSULE_SIZE;

// Pieces of an Envelope
export const PIECE_MAGIC = "\x89tippce\n";
export const PIECE_FIXED = 64;
export const MAX_PIECE_PARTS = 1024;
export const MAX_PIECES = 2 ** 20;

// QR codes of an Envelope
export const QR_MAGIC = "\x89tipqrc\n";
export const QR_BLOCK = 1000;
/** Bytes before the block. */
export const QR_HEAD = 32;
/** Blocks of the Envelope's own bytes. */
export const MAX_QR_BLOCKS = 100;
export const MAX_QR_CODES = 125;

// Mailboxes (docs/protocol.md, section 3.1)
export const MAILBOX_MAGIC = "\x89tipmbx\n";
export const ANSWER_MAGIC = "\x89tipans\n";
export const LIST_SIZE = 64 * KIB;
export const PIECE_SIZE = 256 * KIB;
/** Tokens in one request; with decoys always as many. */
export const MAILBOX_TOKENS = 32;
export const LIST_REQUEST = MAILBOX_TOKENS * KEY_SIZE;
/** The most requests of one kind: a server that names more organisations only wants to see requests. */
export const MOST_MAILBOX_REQUESTS = 4;
export const DELETED_SIZE = 32;
export const LIST_HEADER = 16;
export const ENTRY_SIZE = 52;
export const MAX_REPLIES = 512;
/** The most that a reply can be. */
export const MAX_REPLY = 256 * MIB;
