// Domain separation: those labels of docs/format.md that a page uses, each for one thing.

export const ORGANISATION = "tipbox/v1/organisation";
export const KEY = "tipbox/v1/key";
export const MANIFEST = "tipbox/v1/manifest";
export const NOTICE = "tipbox/v1/notice";

export const PASSPHRASE_CHECK = "tipbox/v1/passphrase-check";
export const ROOT = "tipbox/v1/root";
export const MAILBOX_TOKEN = "tipbox/v1/mailbox-token";
export const MAILBOX_DECOY = "tipbox/v1/mailbox-decoy";
export const RESUME = "tipbox/v1/resume";
export const PLACE = "tipbox/v1/place";
export const CAPSULE = "tipbox/v1/capsule";
export const PAIR_KEY = "tipbox/v1/pair-key";

export const CONTENT_COMMITMENT = "tipbox/v1/content-commitment";
export const BODY_COMMITMENT = "tipbox/v1/body-commitment";
export const SLOT = "tipbox/v1/slot";
export const LETTER = "tipbox/v1/letter";
export const PARTS = "tipbox/v1/parts";
export const ENVELOPE_HASH = "tipbox/v1/envelope-hash";
export const ENVELOPE_ID = "tipbox/v1/envelope-id";
export const SEAL = "tipbox/v1/seal";
export const CHECK_DIGITS = "tipbox/v1/check-digits";
export const REPLY_CONTENT = "tipbox/v1/reply-content";
export const PIECE = "tipbox/v1/piece";
export const QR_SET = "tipbox/v1/qr-set";
export const QR_CODE = "tipbox/v1/qr-code";
