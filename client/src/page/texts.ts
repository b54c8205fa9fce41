// The page's texts and numbers. All texts come from the template, translated by the server; numbers are written by
// Intl.

import type { Day } from "../formats/base/days.js";

const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;

/** A value in a text of whatever direction, standing as it is: names and coordinates would change places. */
export function apart(value: string): string {
  return `\u2068${value}\u2069`;
}

function filled(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{([a-z]+)\}/g, (whole, key: string) => values[key] ?? whole);
}

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
    return filled(this.#element.dataset[name] ?? "", values);
  }

  /** The text of an attribute that has a form for each kind of number, with `{count}` filled in. */
  counted(name: string, count: number): string {
    const forms = JSON.parse(this.#element.dataset[name] ?? "{}") as Readonly<Record<string, string>>;
    const form = forms[new Intl.PluralRules(this.language).select(count)] ?? forms["other"] ?? "";
    return filled(form, { count: this.number(count) });
  }

  /** A number as the language writes it, and in Russian where the browser does not know the language. */
  #number(value: number, options: Intl.NumberFormatOptions = {}): string {
    const isKnown = Intl.NumberFormat.supportedLocalesOf(this.language).length > 0;
    // Kazakh is one that Chromium does not know: its numbers and short units are those of Russian.
    return new Intl.NumberFormat(
      isKnown ? this.language : "ru",
      isKnown ? options : { ...options, unitDisplay: "short" },
    ).format(value);
  }

  #unit(value: number, unit: string, unitDisplay: "short" | "long", digits: number): string {
    return this.#number(value, { style: "unit", unit, unitDisplay, maximumFractionDigits: digits });
  }

  number(value: number): string {
    return this.#number(value);
  }

  /** Names one after the other and what stands between them, as the language does it where the browser knows it. */
  list(names: readonly string[]): { readonly isName: boolean; readonly text: string }[] {
    const isKnown = Intl.ListFormat.supportedLocalesOf(this.language).length > 0;
    return new Intl.ListFormat(this.language).formatToParts(names).map(({ type, value }) => {
      const isName = type === "element";
      return { isName, text: isName || isKnown ? value : ", " };
    });
  }

  /** A number of bytes in a readable unit. */
  size(bytes: number, per = ""): string {
    const step = Math.min(SIZES.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
    const value = bytes / 1000 ** step;
    const display = step === 0 && per === "" ? "long" : "short"; // the short one of a byte has no plural
    return this.#unit(value, `${SIZES[step] ?? "byte"}${per}`, display, value < 10 && step > 0 ? 1 : 0);
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
    return this.#number(share, { style: "percent" });
  }

  /** A number of seconds in a readable unit, in steps of at least ten seconds: an estimate is no finer. */
  time(seconds: number): string {
    if (seconds < 60) return this.#unit(Math.max(10, Math.ceil(seconds / 10) * 10), "second", "long", 0);
    if (seconds < 3600) return this.#unit(Math.round(seconds / 60), "minute", "long", 0);
    return this.#unit(seconds / 3600, "hour", "long", 1);
  }

  /** A day of UTC, written out. */
  day(day: Day): string {
    return this.#date(new Date(day * 86_400_000), "UTC");
  }

  /** Today by this device's clock. */
  today(): string {
    return this.#date(new Date());
  }

  /** A date as the browser writes it, or, where it does not know the language, with the page's names of months. */
  #date(date: Date, timeZone?: string): string {
    const zone = timeZone === undefined ? {} : { timeZone };
    if (Intl.DateTimeFormat.supportedLocalesOf(this.language).length > 0)
      return new Intl.DateTimeFormat(this.language, { dateStyle: "long", ...zone }).format(date);
    const numeric = { day: "numeric", month: "numeric", year: "numeric", ...zone } as const;
    const parts = new Map(
      new Intl.DateTimeFormat("en", numeric).formatToParts(date).map(({ type, value }) => [type, value]),
    );
    const month = this.get("months").split("|")[Number(parts.get("month")) - 1] ?? "";
    return `${parts.get("day")} ${month} ${parts.get("year")}`;
  }
}
