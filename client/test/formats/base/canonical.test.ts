import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { fromUtf8, utf8 } from "../../../src/formats/base/bytes.js";
import { decode, encode, type Json } from "../../../src/formats/base/canonical.js";

const ascii = fc.string({ unit: "grapheme-ascii", maxLength: 8 });
const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().map((n) => (Object.is(n, -0) ? 0 : n)),
    fc.string({ unit: "binary" }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(ascii, tie("value"), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value;

describe("canonical JSON", () => {
  it.each(["compact", "file"] as const)("reads back what it wrote (%s)", (form) => {
    fc.assert(
      fc.property(json, (value) => {
        expect(decode(encode(value, form), form)).toEqual(value);
      }),
    );
  });

  it("sorts members and escapes as the format says", () => {
    const value = { b: 'é\u007f\u2028\u0001\n"\\', "10": 1, "9": [], a: {} };

    expect(fromUtf8(encode(value))).toBe('{"10":1,"9":[],"a":{},"b":"é\u007f\u2028\\u0001\\n\\"\\\\"}');
  });

  it("indents the file form by two and ends it with a line feed", () => {
    expect(fromUtf8(encode({ b: [1, { c: 2 }], a: [] }, "file"))).toBe(
      '{\n  "a": [],\n  "b": [\n    1,\n    {\n      "c": 2\n    }\n  ]\n}\n',
    );
  });

  it.each([
    ["white space", '{"a": 1}'],
    ["a byte order mark", '\ufeff{"a":1}'],
    ["members out of order", '{"b":1,"a":1}'],
    ["a member twice", '{"a":1,"a":1}'],
    ["a float", '{"a":1.5}'],
    ["an exponent", '{"a":1e2}'],
    ["minus zero", '{"a":-0}'],
    ["an integer above 2^53 - 1", '{"a":9007199254740992}'],
    ["an escape that is not needed", '{"a":"\\u0041"}'],
    ["an upper-case escape", '{"a":"\\u001F"}'],
    ["a slash escaped", '{"a":"\\/"}'],
    ["a lone surrogate", '{"a":"\\ud800"}'],
    ["a name that is not ASCII", '{"ä":1}'],
    ["trailing bytes", '{"a":1}\n'],
    ["nothing", ""],
    ["no JSON", "{"],
    ["nesting deeper than eight", "[[[[[[[[[]]]]]]]]]"],
    ["nesting far too deep", "[".repeat(60_000)],
  ])("rejects %s", (_, text) => {
    expect(() => decode(utf8(text))).toThrow("malformed");
  });

  it("rejects what is not UTF-8", () => {
    expect(() => decode(Uint8Array.of(0x22, 0xff, 0x22))).toThrow("malformed");
  });

  it("takes nesting of eight", () => {
    expect(decode(utf8("[[[[[[[[]]]]]]]]"))).toEqual([[[[[[[[]]]]]]]]);
  });
});
