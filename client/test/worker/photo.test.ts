import { describe, expect, it } from "vitest";

import { read } from "../../src/worker/photo.js";

const NOTHING = { device: "", time: "", place: "", owner: "" };

/** A JPEG without a picture, whose Exif has these texts by tag (TIFF 6.0, big-endian). */
function jpeg(tags: Readonly<Record<number, string>>): ArrayBuffer {
  const entries = Object.entries(tags).map(([tag, text]) => ({ tag: Number(tag), data: `${text}\0` }));
  const start = 8 + 2 + 12 * entries.length + 4;
  const size = start + entries.reduce((sum, { data }) => sum + data.length, 0);
  const bytes = new Uint8Array(2 + 4 + 6 + size + 2);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0xff_d8_ff_e1);
  view.setUint16(4, 2 + 6 + size);
  bytes.set(new TextEncoder().encode("Exif\0\0"), 6);
  const tiff = 12;
  view.setUint32(tiff, 0x4d_4d_00_2a);
  view.setUint32(tiff + 4, 8);
  view.setUint16(tiff + 8, entries.length);
  let at = start;
  for (const [i, { tag, data }] of entries.entries()) {
    const entry = tiff + 10 + 12 * i;
    view.setUint16(entry, tag);
    view.setUint16(entry + 2, 2);
    view.setUint32(entry + 4, data.length);
    view.setUint32(entry + 8, at);
    bytes.set(new TextEncoder().encode(data), tiff + at);
    at += data.length;
  }
  view.setUint16(bytes.length - 2, 0xff_d9);
  return bytes.buffer;
}

describe("what a photo says", () => {
  it("names device, time and owner", () => {
    const photo = jpeg({ 271: "Samsung", 272: "SM-A515F", 306: "2022:01:05 20:14:55", 315: "Asel I" });

    expect(read(photo)).toEqual({
      device: "Samsung SM-A515F",
      time: "2022-01-05 20:14:55",
      place: "",
      owner: "Asel I",
    });
  });

  it("is nothing for what is no photo, or a damaged one", () => {
    for (const other of [new ArrayBuffer(0), new ArrayBuffer(100), jpeg({ 271: "Samsung" }).slice(0, 20)])
      expect(read(other)).toEqual(NOTHING);
  });
});
