// The characters that mean something wherever people type or read (docs/format.md, section 1): lists of code points, not
// categories, because what a category holds depends on the browser's version of Unicode.

/** What a name could hide, or turn around, what people see of it by. */
export const UNSEEN =
  "0-1f 7f-9f ad 34f 600-605 61c 6dd 70f 890-891 8e2 115f-1160 17b4-17b5 180b-180f 200b-200f 2028-202e 2060-206f " +
  "3164 fe00-fe0f feff ffa0 fff0-fffb 110bd 110cd 13430-1343f 1bca0-1bca3 1d173-1d17a e0000-e0fff";
/** White space, dashes, quotation marks, direction marks and points: what may stand between groups and words. */
export const DIVIDERS =
  "9-d 1c-20 22 27 29 2c-2e 5f-60 85 a0 ab ad b4 bb 58a 5be 61c 1400 1680 1806 180e 2000-202f 2032-2037 2039-203a " +
  "2043 2053 205f-206f 2212 2e17 2e1a 2e3a-2e3b 2e40 2e5d 3000 300c-300f 301c-301f 3030 30a0 fe00-fe0f fe31-fe32 " +
  "fe41-fe44 fe58 fe63 feff ff02 ff07 ff0d ff62-ff63 10d6e 10ead";
/** The zeros of all decimal digits; the nine others follow each of them. */
export const ZEROS =
  "30 660 6f0 7c0 966 9e6 a66 ae6 b66 be6 c66 ce6 d66 de6 e50 ed0 f20 1040 1090 17e0 1810 1946 19d0 1a80 1a90 1b50 " +
  "1bb0 1c40 1c50 a620 a8d0 a900 a9d0 a9f0 aa50 abf0 ff10 104a0 10d30 10d40 11066 110f0 11136 111d0 112f0 11450 " +
  "114d0 11650 116c0 116d0 116da 11730 118e0 11950 11bf0 11c50 11d50 11da0 11de0 11f50 16130 16a60 16ac0 16b50 " +
  "16d70 1ccf0 1d7ce 1d7d8 1d7e2 1d7ec 1d7f6 1e140 1e2f0 1e4f0 1e5f1 1e950 1fbf0";

/** A list as the inside of a character class. */
function inside(listed: string): string {
  return listed.replace(/[0-9a-f]+/g, "\\u{$&}").replaceAll(" ", "");
}

const unseen = new RegExp(`[${inside(UNSEEN)}]`, "u");
const dividers = new RegExp(`[${inside(DIVIDERS)}]+`, "u");
const zeros = ZEROS.split(" ").map((zero) => Number.parseInt(zero, 16));
const digits = new RegExp(
  `[${zeros.map((zero) => `\\u{${zero.toString(16)}}-\\u{${(zero + 9).toString(16)}}`).join("")}]`,
  "gu",
);

/** Whether a text holds a character that people do not see. */
export function hasUnseen(text: string): boolean {
  return unseen.test(text);
}

/** The pieces of a typed text between its dividers; none of them is empty. */
export function divide(text: string): string[] {
  return text.split(dividers).filter((piece) => piece !== "");
}

/** The text with all decimal digits of the list as ASCII. */
export function asciiDigits(text: string): string {
  return text.replace(digits, (digit) => {
    const code = digit.codePointAt(0) ?? 0;
    return String(code - (zeros.find((zero) => zero <= code && code <= zero + 9) ?? code));
  });
}
