import { beforeAll, describe, expect, it } from "vitest";

import { type Bytes, toHex, utf8 } from "../../src/formats/base/bytes.js";
import { random } from "../../src/formats/base/primitives.js";
import type { Manifest } from "../../src/formats/manifest.js";
import { BodyReader } from "../../src/worker/files.js";
import { readManifests } from "../../src/worker/recipients.js";
import { entryOf, recipientsOf } from "../../src/worker/tip.js";
import { contentOf, flip, listing, makeOrganisation, type TestOrganisation } from "../support/tools.js";

const FROM = 20_780;
let fidh: TestOrganisation;
let kibhr: TestOrganisation;

beforeAll(async () => {
  [fidh, kibhr] = await Promise.all([makeOrganisation("fidh", FROM), makeOrganisation("kibhr", FROM)]);
});

describe("manifests that a page is given", () => {
  const read = async (files: readonly Bytes[], today = FROM): Promise<readonly Manifest[]> =>
    await readManifests(files, listing(fidh, kibhr), today);

  it("are those that verify and are good today", async () => {
    const files = [fidh.file, flip(kibhr.file, 3000), utf8("{}\n"), utf8("")];

    expect((await read(files)).map(({ organisation }) => organisation)).toEqual(["fidh"]);
  });

  it("are one for each organisation: the one with the highest serial", async () => {
    const newer = await fidh.sign({ ...fidh.manifest, serial: [1, 2] });
    for (const files of [
      [fidh.file, newer],
      [newer, fidh.file],
    ]) {
      expect((await read(files)).map(({ serial }) => serial)).toEqual([[1, 2]]);
    }
  });

  it("leave out a key that no one can seal to", async () => {
    const [key] = kibhr.manifest.keys;
    if (key === undefined) throw new Error("keys were made");
    const publicKey = key.publicKey.map(() => 0xff); // numbers out of ML-KEM's range
    const { keyId } = await import("../../src/formats/base/ids.js");
    const file = await kibhr.sign({ ...kibhr.manifest, keys: [{ ...key, publicKey, id: await keyId(publicKey) }] });

    expect((await read([fidh.file, file])).map(({ id }) => toHex(id))).toEqual([toHex(fidh.manifest.id)]);
  });

  it("are refused, all of them, when one is of nobody whom the page lists", async () => {
    const swapped = await makeOrganisation("kibhr", FROM); // the same name, and the server's own keys
    for (const files of [[swapped.file], [fidh.file, swapped.file], [fidh.file, kibhr.file, swapped.file]]) {
      await expect(read(files)).rejects.toThrow("foreign-key");
    }
    await expect(readManifests([fidh.file], [], FROM)).rejects.toThrow("foreign-key");
  });

  it("are refused by the identity key, not by the id that the page has beside it", async () => {
    const swapped = await makeOrganisation("kibhr", FROM);
    const [entry] = listing(kibhr);
    if (entry === undefined) throw new Error("one is listed");
    const lying = [{ ...entry, id: toHex(swapped.manifest.id) }];

    await expect(readManifests([swapped.file], lying, FROM)).rejects.toThrow("foreign-key");
  });

  it.each([
    ["years behind", FROM - 3000],
    ["years ahead", FROM + 3000],
    ["after the last receiving key", FROM + 30],
  ])("say that the date may be wrong when the clock is %s", async (_, today) => {
    await expect(read([fidh.file, kibhr.file], today)).rejects.toThrow("clock");
  });

  it("say that there are no keys when none verifies", async () => {
    await expect(read([flip(fidh.file, 3000)])).rejects.toThrow("no-keys");
    await expect(read([])).rejects.toThrow("no-keys");
  });

  it("say that the browser is unsuitable when it has no Ed25519", async () => {
    const real = crypto.subtle.importKey;
    crypto.subtle.importKey = () => Promise.reject(new DOMException("", "NotSupportedError"));
    try {
      await expect(read([fidh.file])).rejects.toThrow("unsupported");
    } finally {
      crypto.subtle.importKey = real;
    }
  });
});

describe("those whom a tip is sealed to", () => {
  const sealedTo = async (chosen: readonly TestOrganisation[], today = FROM): Promise<string[]> => {
    const ids = chosen.map(({ manifest }) => toHex(manifest.id));
    const recipients = await recipientsOf([fidh.manifest], ids, random(32), today);
    return recipients.filter((one) => one.chosen !== null).map(({ organisation }) => toHex(organisation));
  };

  it("are all that were chosen, or nothing is sealed", async () => {
    await expect(sealedTo([fidh])).resolves.toEqual([toHex(fidh.manifest.id)]);
    await expect(sealedTo([fidh, kibhr])).rejects.toThrow("unknown-organisation");
    await expect(sealedTo([fidh], FROM + 30)).rejects.toThrow("no-current-key");
  });
});

describe("a file's entry in the letter", () => {
  it("keeps the name as it is, and makes it text", () => {
    const names = ["../../etc/passwd", "‮gpj.exe", "\u001b[31mred", "й.jpg", "й.jpg"];

    expect(names.map((name) => entryOf(new File([], name)).name)).toEqual(names);
    expect(entryOf(new File([], "a\ud800b")).name).toBe("a\ufffdb");
  });

  it("keeps a type only if the format can hold it", () => {
    expect(entryOf(new File(["1"], "a", { type: "image/jpeg" })).type).toBe("image/jpeg");
    expect(entryOf(new File(["1"], "a", { type: `x/${"y".repeat(200)}` })).type).toBe("");
  });
});

describe("reading a body", () => {
  it("joins the files and ends in zeros, in pieces of any size", async () => {
    const contents = [0, 7, 0, 0, 100, 1, 0].map(contentOf);
    const padded = 112;
    const expected = Buffer.concat([...contents, Buffer.alloc(padded - 108)]);
    for (const size of [1, 3, 7, 64, 200]) {
      const reader = new BodyReader(
        contents.map((bytes) => new Blob([bytes])),
        padded,
      );
      const pieces: Uint8Array[] = [];
      for (let left = padded; left > 0; left -= Math.min(left, size)) pieces.push(await reader.read(size));

      expect(Buffer.concat(pieces)).toEqual(expected);
      expect((await reader.read(size)).length).toBe(0);
    }
  });
});
