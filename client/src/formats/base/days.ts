// Days: tipbox keeps no finer time (docs/format.md, section 1).

import { demand } from "../../errors.js";

const MILLISECONDS = 86_400_000;

/** A day in UTC, as days since 1970-01-01. */
export type Day = number;

/** 9999-12-31. */
export const LAST_DAY: Day = 2_932_896;

/** Today, by this device's clock. */
export function today(): Day {
  return Math.floor(Date.now() / MILLISECONDS);
}

/** The day that `YYYY-MM-DD` names. Throws `malformed` for everything else. */
export function parse(text: unknown): Day {
  demand(typeof text === "string" && /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text) && text >= "0001", "malformed");
  const day = Date.parse(`${text}T00:00:00Z`) / MILLISECONDS;
  demand(Number.isInteger(day) && format(day) === text, "malformed");
  return day;
}

/** The day as `YYYY-MM-DD`. */
export function format(day: Day): string {
  return new Date(day * MILLISECONDS).toISOString().slice(0, 10);
}
