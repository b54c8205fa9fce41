// Letters that people write for digits, or read as such, among the digits of an access code (docs/format.md, section 3).

const DIGITS: Readonly<Record<string, string>> = { o: "0", о: "0", l: "1", i: "1", і: "1", "|": "1", з: "3" };

/** The text with such letters as digits; only for what is known to be digits. */
export function readLookalikes(text: string): string {
  return text.toLowerCase().replace(/[oоliі|з]/g, (letter) => DIGITS[letter] ?? letter);
}
