import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { MAX_BODY, PART_SIZE } from "../../../src/formats/base/limits.js";
import { letterSize, padme, partsOf, sealedBodyPartSize, sealedBodySize } from "../../../src/formats/base/padding.js";

/** Padmé once more, on integers of any size. */
function reference(size: bigint): bigint {
  if (size < 2n) return size;
  const exponent = BigInt(size.toString(2).length - 1);
  const mantissa = BigInt(exponent.toString(2).length);
  const zeros = exponent > mantissa ? exponent - mantissa : 0n;
  return ((size + (1n << zeros) - 1n) >> zeros) << zeros;
}

describe("padding", () => {
  it.each([
    [0, 0],
    [1, 1],
    [2, 2],
    [9, 10],
    [100, 104],
    [1_000_000, 1_015_808],
    [MAX_BODY, MAX_BODY],
  ])("Padmé of %d is %d", (size, padded) => {
    expect(padme(size)).toBe(padded);
  });

  it("adds less than 12 %, stays put, and never shrinks", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_BODY }), (size) => {
        const padded = padme(size);

        expect(BigInt(padded)).toBe(reference(BigInt(size)));
        expect(padded).toBeGreaterThanOrEqual(size);
        expect(padded).toBeLessThanOrEqual(size * 1.12);
        expect(padme(padded)).toBe(padded);
      }),
    );
  });

  it.each([
    [0, 8192],
    [8192, 8192],
    [8193, 20_480],
    [20_481, 69_632],
    [69_633, padme(69_633)],
  ])("a letter of %d bytes takes %d", (size, padded) => {
    expect(letterSize(size)).toBe(padded);
  });

  it("counts parts", () => {
    expect([0, 1, PART_SIZE, PART_SIZE + 1].map(partsOf)).toEqual([0, 1, 1, 2]);
  });

  it("adds a session nonce and a tag to each part", () => {
    expect(sealedBodySize(0)).toBe(0);
    expect(sealedBodySize(PART_SIZE + 1)).toBe(PART_SIZE + 65);
    expect([0, 1].map((index) => sealedBodyPartSize(PART_SIZE + 1, index))).toEqual([PART_SIZE + 32, 33]);
  });
});
