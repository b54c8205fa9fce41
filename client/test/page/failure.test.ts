import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import type { Code } from "../../src/errors.js";
import { explained } from "../../src/page/sending/failure.js";

const TEMPLATE = readFileSync(new URL("../../../templates/source/_sending.html", import.meta.url), "utf8");
const named = [...TEMPLATE.matchAll(/data-code="([^"]+)"/g)].flatMap(([, codes]) => codes?.split(" ") ?? []);

describe("what is said when a delivery fails", () => {
  const CERTAIN = { inDoubt: false, isLater: false };
  const DOUBT = { inDoubt: true, isLater: false };
  const LATER = { inDoubt: false, isLater: true };
  const GONE_ON_WITH = { inDoubt: true, isLater: true };

  it.each<[Code, typeof CERTAIN, string, string]>([
    // The server has none of it that anybody could use.
    ["full", CERTAIN, "full", "void"],
    ["file-changed", CERTAIN, "file-changed", "void"],
    ["no-draft", CERTAIN, "no-draft", "void"],
    ["network", CERTAIN, "unsent", "void"],
    ["internal", CERTAIN, "unsent", "void"],
    ["stopped", CERTAIN, "stopped", "keep"],
    // The last request may have been taken.
    ["full", DOUBT, "other", "keep"],
    ["network", DOUBT, "other", "keep"],
    ["no-draft", DOUBT, "other", "keep"],
    ["file-unreadable", DOUBT, "other", "keep"],
    ["stopped", DOUBT, "stopped", "keep"],
    ["part-differs", DOUBT, "part-differs", "keep"],
    // A part lies there, and the code continues it.
    ["full", LATER, "full", "later"],
    ["stopped", LATER, "stopped", "later"],
    ["network", LATER, "other", "later"],
    ["file-unreadable", LATER, "file-unreadable", "later"],
    // It was gone on with: words may have gone before it, or another tab may have finished it.
    ["full", GONE_ON_WITH, "other", "later"],
    ["network", GONE_ON_WITH, "other", "later"],
    ["file-unreadable", GONE_ON_WITH, "other", "later"],
    ["stopped", GONE_ON_WITH, "stopped", "later"],
    // Nothing lies there any more, or something else does.
    ["no-draft", GONE_ON_WITH, "other", "keep"],
    ["part-differs", GONE_ON_WITH, "part-differs", "keep"],
  ])("%s, %j: %s, and the code: %s", (code, known, reason, fate) => {
    expect(explained(code, named.includes(code), known)).toEqual([reason, fate]);
    for (const name of [reason, fate]) expect(named).toContain(name);
  });
});
