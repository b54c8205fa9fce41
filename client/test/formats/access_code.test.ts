import { createHash, hkdfSync, pbkdf2Sync } from "node:crypto";

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  digits,
  generate,
  mailboxAddress,
  mailboxDecoy,
  mailboxRequest,
  mailboxToken,
  pairKey,
  parse,
  rootOf,
} from "../../src/formats/access_code.js";
import { type Bytes, compare, toHex } from "../../src/formats/base/bytes.js";
import { random } from "../../src/formats/base/primitives.js";
import { threadId } from "./derivations.js";

describe("access code", () => {
  it("is 36 digits in six groups, and reads back however it is typed", async () => {
    const accessCode = await generate();
    const written = digits(accessCode);

    expect(written).toMatch(/^(?:[0-9]{6} ){5}[0-9]{6}$/);
    expect(await parse(written)).toEqual(accessCode);
    expect(await parse(` ${written.replace(/ /g, "-")}\u00a0\n`)).toEqual(accessCode);
    expect(await parse(written.replace(/ /g, "._\t"))).toEqual(accessCode);
    for (const zero of ["٠", "०", "０", "𝟬", "𝟶"]) {
      const foreign = written.replace(/[0-9]/g, (digit) =>
        String.fromCodePoint((zero.codePointAt(0) ?? 0) + Number(digit)),
      );
      expect(await parse(foreign)).toEqual(accessCode);
    }
  });

  it("holds its version and its check", async () => {
    const accessCode = await generate();
    const hex = toHex(accessCode);
    const check = createHash("sha256")
      .update("tipbox/v1/passphrase-check")
      .update(Uint8Array.of(1))
      .update(Buffer.from(`0${hex.slice(4, 29)}`, "hex"))
      .digest("hex")
      .slice(0, 3);

    expect(hex.slice(0, 4)).toBe("0001");
    expect(hex.slice(29)).toBe(check);
  });

  it("is never the same twice, and uses all of its bits", async () => {
    const seen = new Set<string>();
    const union = new Uint8Array(16);
    for (let i = 0; i < 200; i++) {
      const accessCode = await generate();
      seen.add(toHex(accessCode));
      for (const [at, byte] of accessCode.entries()) union[at] = (union[at] ?? 0) | byte;
    }

    expect(seen.size).toBe(200);
    expect(toHex(union)).toBe(`0001${"f".repeat(28)}`);
  });

  it("finds most typing errors, and all in its first digits", async () => {
    const written = digits(await generate()).replace(/ /g, "");
    let missed = 0;
    for (let at = 0; at < 36; at++) {
      const wrong = `${written.slice(0, at)}${(Number(written[at]) + 1) % 10}${written.slice(at + 1)}`;
      missed += await parse(wrong).then(
        () => 1,
        () => 0,
      );
    }

    expect(missed).toBeLessThanOrEqual(1);
  });

  it("refuses everything else with one and the same error, which repeats nothing", async () => {
    const good = digits(await generate());
    const other = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      fc.bigInt({ min: 0n, max: 10n ** 36n }).map(String),
    );

    await fc.assert(
      fc.asyncProperty(other, async (text) => {
        await expect(parse(text)).rejects.toThrow(/^bad-passphrase$/);
      }),
    );
    await expect(parse(good.slice(1))).rejects.toThrow("bad-passphrase");
    await expect(parse(`${good}0`)).rejects.toThrow("bad-passphrase");
    await expect(parse("9".repeat(36))).rejects.toThrow("bad-passphrase");
    await expect(parse("０".repeat(1025))).rejects.toThrow("bad-passphrase");
  });

  it("derives what the format says", async () => {
    const accessCode = await generate();
    const derived = await rootOf(accessCode);
    const root = pbkdf2Sync(accessCode, "tipbox/v1/root", 600_000, 32, "sha256");
    const organisation = new Uint8Array(16).fill(7);
    const expected = (label: string, ...context: readonly Uint8Array[]): string => {
      const info = Buffer.concat([Buffer.from(`tipbox/v1/${label}`), organisation, ...context]);
      return Buffer.from(hkdfSync("sha256", root, "", info, 32)).toString("hex");
    };
    const pair = await pairKey(derived, organisation);

    expect(Buffer.from(derived)).toEqual(root);
    expect(toHex(pair)).toBe(expected("pair-key"));
    expect(toHex(await mailboxToken(derived, organisation))).toBe(expected("mailbox-token"));
    expect(toHex(await mailboxAddress(derived, organisation))).toBe(
      createHash("sha256")
        .update(Buffer.from(expected("mailbox-token"), "hex"))
        .digest("hex"),
    );
    expect(toHex(await mailboxDecoy(derived, organisation, 30))).toBe(expected("mailbox-decoy", Uint8Array.of(30)));
    expect(toHex(await threadId(pair))).toBe(
      createHash("sha256").update("tipbox/v1/thread").update(pair).digest("hex").slice(0, 32),
    );
  });
});

describe("a request for mailboxes", () => {
  const root = random(32);
  const ids = Array.from({ length: 33 }, (_, i) => new Uint8Array(16).fill(i + 1));
  const tokensOf = async (organisations: readonly Bytes[]): Promise<string[]> =>
    (await mailboxRequest(root, organisations)).map(({ token }) => toHex(token));

  it.each([1, 2, 31, 32])("of %d organisations has 32 tokens, strictly ascending", async (count) => {
    const asked = ids.slice(0, count);
    const request = await mailboxRequest(root, asked.toReversed());
    const own = request.filter(({ organisation }) => organisation !== null);

    expect(request.length).toBe(32);
    expect(request.every(({ token }, i) => i === 0 || compare(request[i - 1]?.token ?? token, token) < 0)).toBe(true);
    expect(own.map(({ organisation }) => toHex(organisation ?? root)).sort()).toEqual(asked.map(toHex).sort());
    for (const { token, organisation } of own)
      expect(token).toEqual(await mailboxToken(root, organisation ?? new Uint8Array(0)));
    expect(await tokensOf(asked)).toEqual(request.map(({ token }) => toHex(token)));
  });

  it("has decoys of the lowest id, so that those for single organisations share nothing", async () => {
    const [lowest, other] = ids as [Bytes, Bytes];
    const first = await tokensOf([lowest]);
    const both = await tokensOf([other, lowest]);

    expect(first).toContain(toHex(await mailboxDecoy(root, lowest, 30)));
    expect(both).toContain(toHex(await mailboxDecoy(root, lowest, 29)));
    expect(both).not.toContain(toHex(await mailboxDecoy(root, lowest, 30)));
    expect(first.filter((token) => both.includes(token)).length).toBe(31);
    const second = await tokensOf([other]);
    expect(first.filter((token) => second.includes(token))).toEqual([]);
  });

  it("is never for more than 32, or for nobody", async () => {
    await expect(mailboxRequest(root, ids)).rejects.toThrow("limit");
    await expect(mailboxRequest(root, [])).rejects.toThrow("limit");
  });
});
