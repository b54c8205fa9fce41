import { describe, expect, it } from "vitest";

import { Texts } from "../../src/page/texts.js";

/** Texts with these attributes, in camel case. */
function texts(language: string, dataset: Record<string, string>): Texts {
  return new Texts({ dataset } as unknown as HTMLElement, language);
}

describe("what is counted", () => {
  const forms = (of: Record<string, string>): { files: string } => ({ files: JSON.stringify(of) });

  it("has the form of its number in each language", () => {
    const russian = texts("ru", forms({ one: "{count} файл", few: "{count} файла", other: "{count} файлов" }));
    expect([1, 3, 5, 21].map((count) => russian.counted("files", count))).toEqual([
      "1 файл",
      "3 файла",
      "5 файлов",
      "21 файл",
    ]);
    const arabic = texts("ar", forms({ one: "ملف", two: "ملفان", few: "ملفات", other: "ملف كثير" }));
    expect([1, 2, 3, 100].map((count) => arabic.counted("files", count))).toEqual([
      "ملف",
      "ملفان",
      "ملفات",
      "ملف كثير",
    ]);
    const french = texts("fr", forms({ one: "{count} fichier", other: "{count} fichiers" }));
    expect([0, 1, 2].map((count) => french.counted("files", count))).toEqual(["0 fichier", "1 fichier", "2 fichiers"]);
  });
});

describe("names", () => {
  const NAMES = ["Ата-Юрт", "FIDH", "الحق"];
  const written = (language: string, names = NAMES): string =>
    texts(language, {})
      .list(names)
      .map(({ text }) => text)
      .join("");

  it("stand one after the other as each language has it", () => {
    expect(written("en")).toBe("Ата-Юрт, FIDH, and الحق");
    expect(written("ru")).toBe("Ата-Юрт, FIDH и الحق");
    expect(written("ar")).toBe("Ата-Юрт وFIDH والحق");
    expect(written("fr", NAMES.slice(0, 1))).toBe("Ата-Юрт");
    expect(written("tlh")).toBe("Ата-Юрт, FIDH, الحق"); // no browser knows it: nothing of another language
  });

  it("are told from what stands between them", () => {
    expect(
      texts("ar", {})
        .list(NAMES)
        .flatMap(({ isName, text }) => (isName ? [text] : [])),
    ).toEqual(NAMES);
  });
});

describe("sizes", () => {
  it("name few bytes in full, which have a plural", () => {
    const english = texts("en", {});
    expect([1, 145, 3_400_000].map((size) => english.size(size))).toEqual(["1 byte", "145 bytes", "3.4 MB"]);
  });

  it("and times are not in English where the browser does not know the language", () => {
    const unknown = texts("tlh", {});
    expect(unknown.size(3_400_000)).toMatch(/^3,4\sМБ$/);
    expect(unknown.time(120)).toMatch(/^2\sмин$/);
    expect([unknown.number(1_234_567), unknown.percent(0.5)]).toEqual(["1\u00a0234\u00a0567", "50\u00a0%"]);
  });
});

describe("dates", () => {
  const months = "қаңтар|ақпан|наурыз|сәуір|мамыр|маусым|шілде|тамыз|қыркүйек|қазан|қараша|желтоқсан";

  it("have the page's months in a browser that does not know the language", () => {
    expect(Intl.DateTimeFormat.supportedLocalesOf("tlh")).toEqual([]);
    const unknown = texts("tlh", { months });
    expect(unknown.day(18_997)).toBe("5 қаңтар 2022");
    expect(unknown.today()).toMatch(/^[0-9]{1,2} \p{L}+ [0-9]{4}$/u);
    expect(texts("en", { months }).day(18_997)).toBe("January 5, 2022");
  });
});
