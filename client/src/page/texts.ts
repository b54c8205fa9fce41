// The page's texts and numbers. All texts come from the template, translated by the server; numbers are written by
// Intl.

import type { Day } from "../formats/base/days.js";

const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;

/** Texts from the data- attributes of one element. */
export class Texts {
  readonly #element: HTMLElement;
  readonly language: string;

  constructor(element: HTMLElement, language: string) {
    this.#element = element;
    this.language = language;
  }

  /** The text of an attribute (its name in camel case, without `data`), with `{placeholders}` filled in. */
  get(name: string, values: Readonly<Record<string, string>> = {}): string {
    return (this.#element.dataset[name] ?? "").replace(/\{([a-z]+)\}/g, (whole, key: string) => values[key] ?? whole);
  }

  #unit(value: number, unit: string, unitDisplay: "short" | "long", digits: number): string {
    return new Intl.NumberFormat(this.language, {
      style: "unit",
      unit,
      unitDisplay,
      maximumFractionDigits: digits,
    }).format(value);
  }

  number(value: number): string {
    return new Intl.NumberFormat(this.language).format(value);
  }

  /** A number of bytes in a readable unit. */
  size(bytes: number, per = ""): string {
    const step = Math.min(SIZES.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
    const value = bytes / 1000 ** step;
    return this.#unit(value, `${SIZES[step] ?? "byte"}${per}`, "short", value < 10 && step > 0 ? 1 : 0);
  }

  /** Bytes per second in a readable unit. */
  rate(bytes: number): string {
    return this.size(bytes, "-per-second");
  }

  /** A number of seconds, to the second. */
  seconds(seconds: number): string {
    return this.#unit(seconds, "second", "long", 0);
  }

  /** A share, in hundredths. */
  percent(share: number): string {
    return new Intl.NumberFormat(this.language, { style: "percent" }).format(share);
  }

  /** A number of seconds in a readable unit, in steps of at least ten seconds: an estimate is no finer. */
  time(seconds: number): string {
    if (seconds < 60) return this.#unit(Math.max(10, Math.ceil(seconds / 10) * 10), "second", "long", 0);
    if (seconds < 3600) return this.#unit(Math.round(seconds / 60), "minute", "long", 0);
    return this.#unit(seconds / 3600, "hour", "long", 1);
  }

  /** A country's name, or its code when the browser does not know it. */
  country(code: string): string {
    return new Intl.DisplayNames(this.language, { type: "region", fallback: "code" }).of(code) ?? code;
  }

  /** A day of UTC, written out. */
  day(day: Day): string {
    return new Intl.DateTimeFormat(this.language, { dateStyle: "long", timeZone: "UTC" }).format(day * 86_400_000);
  }

  /** Today by this device's clock. */
  today(): string {
    return new Intl.DateTimeFormat(this.language, { dateStyle: "long" }).format(new Date());
  }
}
