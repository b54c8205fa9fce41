// What the screen of a failure says: never that nothing arrived, or that the code is void, where either may be false.

import type { Code } from "../../errors.js";

/** What is known of a delivery that failed. */
export interface Known {
  /** Whether it may have arrived, all of it or a part. */
  readonly inDoubt: boolean;
  /** Whether a part lies on the server that the code continues. */
  readonly isLater: boolean;
}

/** Reasons that stay true when the message may have arrived. */
const UNDECIDED: readonly Code[] = ["stopped", "part-differs"];
/** After these nothing is left to be gone on with. */
const OVER: readonly Code[] = ["no-draft", "part-differs"];

/**
 * The names of what the screen says: why it failed, and what becomes of the code. `isNamed`: the screen has something
 * to say of this error.
 */
export function explained(
  code: Code,
  isNamed: boolean,
  { inDoubt, isLater }: Known,
): readonly [reason: string, fate: "keep" | "later" | "void"] {
  const isUndecided = UNDECIDED.includes(code);
  const unnamed = inDoubt || isLater ? "other" : "unsent";
  const reason = isNamed && (isUndecided || !inDoubt) ? code : unnamed;
  if (isLater && !OVER.includes(code)) return [reason, "later"];
  return [reason, isUndecided || reason === "other" ? "keep" : "void"];
}
