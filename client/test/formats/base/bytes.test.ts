import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  compare,
  concat,
  equal,
  fromBase64,
  fromHex,
  release,
  toBase64,
  toHex,
  uint,
} from "../../../src/formats/base/bytes.js";

const bytes = fc.uint8Array({ maxLength: 100 }).map((array) => new Uint8Array(array));

describe("bytes", () => {
  it("gives memory back at once", () => {
    const some = new Uint8Array(3).fill(7);
    release(some);
    expect(some).toHaveLength(0);
  });

  it("reads back hex and base64", () => {
    fc.assert(
      fc.property(bytes, (some) => {
        expect(fromHex(toHex(some))).toEqual(some);
        expect(fromBase64(toBase64(some))).toEqual(some);
        expect(toBase64(some)).toBe(Buffer.from(some).toString("base64"));
      }),
    );
  });

  it.each(["AA", "AA=", "AB==", "A A==", "AA==\n", "_-8=", "="])("refuses the base64 %j", (text) => {
    expect(fromBase64(text)).toBeNull();
  });

  it.each(["a", "AA", "0x", "zz", "a a"])("refuses the hex %j", (text) => {
    expect(fromHex(text)).toBeNull();
  });

  it("compares as sorting does", () => {
    fc.assert(
      fc.property(bytes, bytes, (one, other) => {
        expect(Math.sign(compare(one, other))).toBe(Buffer.compare(one, other));
        expect(equal(one, other)).toBe(Buffer.compare(one, other) === 0);
      }),
    );
  });

  it("writes integers big-endian", () => {
    expect(concat(uint(1, 1), uint(258, 2), uint(0xff_fe_fd_fc, 4))).toEqual(
      Uint8Array.of(1, 1, 2, 255, 254, 253, 252),
    );
  });
});
