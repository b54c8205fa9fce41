// Pieces of a tip: what is not in the vectors.

import { expect, it } from "vitest";

import { newMark } from "../../../src/formats/envelopes/pieces.js";

it("draws another mark for the names of each tip", () => {
  const marks = Array.from({ length: 100 }, newMark);
  for (const mark of marks) expect(mark).toMatch(/^[bcdfghjkmnpqrstv]{6}$/);
  expect(new Set(marks).size).toBeGreaterThan(98);
});
