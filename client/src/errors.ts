// All errors of tipbox: one closed set. The format's codes are those of docs/format.md, section 7; the protocol's those
// of docs/protocol.md, section 4; the client's own are for what only happens here. No error ever carries anything that
// a source wrote.

/** docs/format.md, section 7. */
export const FORMAT_CODES = [
  "not-tipbox",
  "version",
  "limit",
  "truncated",
  "trailing",
  "malformed",
  "not-addressed",
  "unknown-key",
  "too-late",
  "not-for-you",
  "tampered",
  "commitment",
  "incomplete",
  "forged",
  "bad-signature",
  "unknown-critical",
  "expired",
  "not-yet-valid",
  "older-serial",
  "identity-changed",
  "no-current-key",
  "bad-passphrase",
  "wrong-passphrase",
  "wrong-reader",
  "wrong-sender",
  "damaged-item",
] as const;

/** docs/protocol.md, section 4; `incomplete` stands in both. */
export const PROTOCOL_CODES = [
  "no-circuit",
  "cross-site",
  "no-token",
  "no-draft",
  "not-found",
  "method",
  "length-required",
  "too-large",
  "draft-differs",
  "part-differs",
  "unknown-organisation",
  "slow-down",
  "toll",
  "full",
  "unavailable",
] as const;

/** What only the client meets. */
export const CLIENT_CODES = [
  "unsupported", // the browser lacks what sealing needs
  "clock", // no manifest is valid on this device's date
  "no-keys", // no manifest verifies
  "foreign-key", // a manifest is signed by a key that the page does not list
  "network", // the connection broke, or the answer is not one of the protocol
  "file-unreadable", // a chosen file can no longer be read
  "file-changed", // a chosen file has another size than when it was chosen
  "stopped", // the source pressed Stop
  "internal", // a bug
] as const;

export type FormatCode = (typeof FORMAT_CODES)[number];
export type ProtocolCode = (typeof PROTOCOL_CODES)[number];
export type Code = FormatCode | ProtocolCode | (typeof CLIENT_CODES)[number];

/** An error of the closed set. */
export class TipboxError extends Error {
  override readonly name = "TipboxError";

  constructor(readonly code: Code) {
    super(code);
  }
}

/** Throws `code` unless `condition` holds. */
export function demand(condition: boolean, code: Code): asserts condition {
  if (!condition) throw new TipboxError(code);
}

/** The code of anything that was thrown; `internal` for what is not a `TipboxError`, by whichever script it was made. */
export function codeOf(error: unknown): Code {
  return error instanceof Error && error.name === "TipboxError" ? (error as TipboxError).code : "internal";
}
