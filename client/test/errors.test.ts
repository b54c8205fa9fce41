import { describe, expect, it } from "vitest";

import { codeOf, TipboxError } from "../src/errors.js";

describe("the code of what was thrown", () => {
  it("is known of an error that another script of the worker made, with a class of its own", () => {
    class Other extends Error {
      override readonly name = "TipboxError";
      readonly code = "full";
    }
    expect(codeOf(new Other())).toBe("full");
    expect(codeOf(new TipboxError("full"))).toBe("full");
  });

  it("is internal for all else", () => {
    expect(["full", new Error("full"), { name: "TipboxError", code: "full" }, null].map(codeOf)).toEqual(
      Array.from({ length: 4 }, () => "internal"),
    );
  });
});
