// QR codes of what was sealed (docs/format.md, section 15): one after another on the screen, and all of them on paper.
// Nothing of them is saved.

import { encode } from "uqr";
import type { Bytes } from "../formats/base/bytes.js";
import { qrCodesOf, toQrCodes } from "../formats/envelopes/qr_codes.js";
import { element } from "../page/screen.js";
import type { Texts } from "../page/texts.js";

/** The version that a code's bytes fill, and the modules without which it is not found. */
const VERSION = 26;
const QUIET = 4;
const SVG = "http://www.w3.org/2000/svg";

function svg(name: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** A code as a picture: black on white also where the page is dark. */
function picture(code: Bytes, label: string): SVGElement {
  const options = { ecc: "M", boostEcc: false, minVersion: VERSION, maxVersion: VERSION, border: QUIET } as const;
  const { data, size } = encode([...code], options);
  let path = "";
  for (const [y, row] of data.entries()) {
    for (let x = 0; x < size; x++) {
      const from = x;
      while (row[x]) x++;
      if (x > from) path += `M${from} ${y}h${x - from}v1H${from}z`;
    }
  }
  const image = svg("svg", {
    viewBox: `0 0 ${size} ${size}`,
    role: "img",
    "aria-label": label,
    "shape-rendering": "crispEdges",
  });
  image.append(svg("rect", { width: String(size), height: String(size), fill: "#fff" }), svg("path", { d: path }));
  return image;
}

/** The codes of one Envelope. */
export class QrView {
  readonly #texts: Texts;
  readonly #codes: readonly Bytes[];
  readonly #enough: number;
  #at = 0;
  #sheets: HTMLElement | null = null;

  private constructor(texts: Texts, codes: readonly Bytes[], enough: number) {
    this.#texts = texts;
    this.#codes = codes;
    this.#enough = enough;
  }

  /** Throws `limit` when the Envelope does not fit: `qrCodesOf` says so beforehand. */
  static async of(texts: Texts, envelope: Bytes): Promise<QrView> {
    return new QrView(texts, await toQrCodes(envelope), qrCodesOf(envelope.length)?.enough ?? 0);
  }

  /** How many there are, and how many of them are enough, in a sentence. */
  get said(): string {
    const { number } = this.#texts;
    const values = [this.#codes.length, this.#enough].map((value) => number.call(this.#texts, value));
    return this.#texts.get("qrSaid", { count: values[0] ?? "", enough: values[1] ?? "" });
  }

  /** Fills the section that shows them. */
  show(section: HTMLElement): void {
    const part = (name: string): HTMLElement | null => section.querySelector(`[data-part=${name}]`);
    const place = part("qr-shown");
    const turn = (by: number): void => {
      this.#at = (this.#at + by + this.#codes.length) % this.#codes.length;
      place?.replaceChildren(this.#figure(this.#at));
    };
    turn(0);
    part("qr-before")?.addEventListener("click", () => turn(-1));
    part("qr-next")?.addEventListener("click", () => turn(1));
    part("qr-print")?.addEventListener("click", () => this.#print());
    section.hidden = false;
  }

  #figure(index: number): HTMLElement {
    const texts = this.#texts;
    const values = { number: texts.number(index + 1), count: texts.number(this.#codes.length) };
    const label = texts.get("qrLabel", values);
    const figure = element("figure");
    figure.className = "qr";
    figure.append(picture(this.#codes[index] ?? new Uint8Array(), label), element("figcaption", label));
    return figure;
  }

  /** Puts all of them on sheets, which stand beside the page until they are printed. */
  #print(): void {
    this.#clear();
    const sheets = element("div");
    sheets.className = "sheets";
    sheets.append(...this.#codes.map((_, index) => this.#figure(index)));
    this.#sheets = sheets;
    document.body.append(sheets);
    document.body.classList.add("printing");
    addEventListener("afterprint", () => this.#clear(), { once: true });
    print();
  }

  #clear(): void {
    this.#sheets?.remove();
    this.#sheets = null;
    document.body.classList.remove("printing");
  }

  wipe(): void {
    this.#clear();
    for (const code of this.#codes) code.fill(0);
  }
}
