// Keys and manifests made on the spot, for tests.

import { randomBytes, webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";

import { type Bytes, concat, toBase64, toHex, utf8 } from "../../src/formats/base/bytes.js";
import { decode, encode } from "../../src/formats/base/canonical.js";
import { type Day, today } from "../../src/formats/base/days.js";
import { keyId, organisationId } from "../../src/formats/base/ids.js";
import { MANIFEST } from "../../src/formats/base/labels.js";
import { random } from "../../src/formats/base/primitives.js";
import type { Manifest, ReceivingKey } from "../../src/formats/manifest.js";
import { type ListName, PINS, WordList } from "../../src/formats/wordlists.js";
import type { Organisation } from "../../src/messages.js";
import { xwingPublic } from "../formats/base/hpke_opening.js";
import { encodeManifest } from "../formats/encoders.js";
import type { FindKey } from "../formats/envelopes/slot_opening.js";

/** An organisation with its private keys. */
export interface TestOrganisation {
  readonly manifest: Manifest;
  /** The manifest's file. */
  readonly file: Bytes;
  readonly seeds: ReadonlyMap<string, Bytes>;
  readonly findKey: FindKey;
  /** Signs a manifest's file anew, whatever stands in it. */
  readonly sign: (unsigned: Manifest) => Promise<Bytes>;
}

/** Makes an organisation whose manifest starts on `from`. */
export async function makeOrganisation(
  name: string,
  from: Day = today(),
  changes: Partial<Manifest> = {},
): Promise<TestOrganisation> {
  const identity = (await webcrypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const identityPublic = new Uint8Array(await webcrypto.subtle.exportKey("raw", identity.publicKey));
  const seeds = new Map<string, Bytes>();
  const keys: ReceivingKey[] = [];
  for (const start of [from, from + 14]) {
    const seed = random(32);
    const publicKey = await xwingPublic(seed);
    const id = await keyId(publicKey);
    seeds.set(toHex(id), seed);
    keys.push({ id, publicKey, from: start, until: start + 14 });
  }
  const sign = async (unsigned: Manifest): Promise<Bytes> => {
    const { signature: _, ...value } = decode(encodeManifest(unsigned), "file") as Record<string, never>;
    const signed = concat(utf8(MANIFEST), new Uint8Array(1), encode(value));
    const signature = new Uint8Array(await webcrypto.subtle.sign("Ed25519", identity.privateKey, signed));
    return encodeManifest({ ...unsigned, signature });
  };
  const manifest: Manifest = {
    id: await organisationId(identityPublic),
    organisation: name,
    name: `Organisation ${name}`,
    country: "KZ",
    languages: ["kk", "ru"],
    identity: identityPublic,
    desk: random(32),
    from,
    until: from + 56,
    serial: [1, 1],
    keys,
    critical: [],
    extra: {},
    signature: new Uint8Array(64),
    ...changes,
  };
  return {
    manifest,
    file: await sign(manifest),
    seeds,
    findKey: (id) => seeds.get(toHex(id)) ?? "unknown-key",
    sign,
  };
}

/** These organisations as a page lists them. */
export function listing(...organisations: readonly TestOrganisation[]): Organisation[] {
  return organisations.map(({ manifest: { id, identity, name, country } }) => ({
    id: toHex(id),
    identity: toBase64(identity),
    name,
    where: country,
    about: "",
    aboutIn: "",
  }));
}

/** Bytes that no compression and no mistake in order leaves unnoticed. */
export function contentOf(size: number): Bytes {
  return new Uint8Array(randomBytes(size));
}

/** A copy with one bit flipped. */
export function flip(bytes: Bytes, at: number): Bytes {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

/** The file of a list of words, as the build made it. */
export function wordListFile(name: string): Bytes {
  return new Uint8Array(readFileSync(new URL(`../../../tipbox/formats/wordlists/${name}.txt`, import.meta.url)));
}

/** All lists of words. */
export function wordLists(): Promise<WordList[]> {
  return Promise.all((Object.keys(PINS) as ListName[]).map((name) => WordList.read(name, wordListFile(name))));
}
