import { createHash, hkdfSync, pbkdf2Sync } from "node:crypto";

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkDigits, digits, generate, pairKey, parse, secrets, wipe } from "../../src/formats/access_code.js";
import { toHex } from "../../src/formats/base/bytes.js";
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
    const derived = await secrets(accessCode);
    const root = pbkdf2Sync(accessCode, "tipbox/v1/root", 600_000, 32, "sha256");
    const token = Buffer.from(hkdfSync("sha256", root, "", "tipbox/v1/mailbox-token", 32));
    const organisation = new Uint8Array(16).fill(7);
    const info = Buffer.concat([Buffer.from("tipbox/v1/pair-key"), organisation]);
    const pair = await pairKey(derived.root, organisation);

    expect(Buffer.from(derived.root)).toEqual(root);
    expect(Buffer.from(derived.mailboxToken)).toEqual(token);
    expect(toHex(derived.mailboxAddress)).toBe(createHash("sha256").update(token).digest("hex"));
    expect(derived.replyPublic.length).toBe(1216);
    expect(Buffer.from(pair)).toEqual(Buffer.from(hkdfSync("sha256", root, "", info, 32)));
    expect(toHex(await threadId(pair))).toBe(
      createHash("sha256").update("tipbox/v1/thread").update(pair).digest("hex").slice(0, 32),
    );

    wipe(derived);
    expect(derived.root.every((byte) => byte === 0) && derived.replySeed.every((byte) => byte === 0)).toBe(true);
  });

  it("makes check digits that belong to one Envelope and one organisation", async () => {
    const pair = new Uint8Array(32).fill(1);
    const hash = new Uint8Array(32).fill(2);
    const expected =
      BigInt(`0x${Buffer.from(hkdfSync("sha256", pair, hash, "tipbox/v1/check-words", 32)).toString("hex")}`) %
      10n ** 20n;

    expect((await checkDigits(pair, hash)).replace(/ /g, "")).toBe(expected.toString().padStart(20, "0"));
    expect(await checkDigits(pair, hash)).toMatch(/^[0-9]{5}( [0-9]{5}){3}$/);
    expect(await checkDigits(pair, new Uint8Array(32))).not.toBe(await checkDigits(pair, hash));
  });
});
