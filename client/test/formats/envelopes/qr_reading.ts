// Reads the bytes of a QR code (docs/format.md, section 15): for the vectors. Pages only make them.

import { demand } from "../../../src/errors.js";
import { type Bytes, equal } from "../../../src/formats/base/bytes.js";
import {
  ID_SIZE,
  MAX_QR_BLOCKS,
  MAX_QR_CODES,
  QR_BLOCK,
  QR_HEAD,
  QR_MAGIC,
  VERSION,
} from "../../../src/formats/base/limits.js";
import { encodeQrCode, type QrHead } from "../../../src/formats/envelopes/qr_codes.js";

const magic = Uint8Array.from(QR_MAGIC, (char) => char.charCodeAt(0));
const SIZE = QR_HEAD + QR_BLOCK + ID_SIZE;

/** Reads a code that takes up `bytes` exactly. */
export async function readQrCode(bytes: Bytes): Promise<{ readonly head: QrHead; readonly block: Bytes }> {
  const start = bytes.slice(0, magic.length);
  demand(equal(start, magic.slice(0, start.length)), "not-tipbox");
  demand(bytes.length >= SIZE, "truncated");
  const [version = 0, number = 0, data = 0, parity = 0] = bytes.slice(magic.length, 12);
  const size = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(12);
  demand(version === VERSION, "version");
  demand(1 <= data && data <= MAX_QR_BLOCKS && data + parity <= MAX_QR_CODES, "limit");
  demand(1 <= size && size <= MAX_QR_BLOCKS * QR_BLOCK, "limit");
  demand(data === Math.ceil(size / QR_BLOCK) && number < data + parity, "malformed");
  demand(bytes.length === SIZE, "trailing");
  const head = { number, data, parity, size, ident: bytes.slice(16, QR_HEAD) };
  const block = bytes.slice(QR_HEAD, QR_HEAD + QR_BLOCK);
  demand(equal(await encodeQrCode(head, block), bytes), "malformed");
  return { head, block };
}
