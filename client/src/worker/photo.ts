// What a photo says about its maker beside the picture. Loaded only when somebody asks; nothing of it leaves the page.

import { load } from "exifreader";

/** What a photo says; each empty where it says nothing. */
export interface Said {
  readonly device: string;
  readonly time: string;
  readonly place: string;
  readonly owner: string;
}

const NOTHING: Said = { device: "", time: "", place: "", owner: "" };
const DIGITS = 5;

function text(...tags: readonly ({ readonly description?: unknown } | undefined)[]): string {
  const said = tags.map((tag) => (typeof tag?.description === "string" ? tag.description.trim() : ""));
  return [...new Set(said.filter((one) => one !== ""))].join(" ");
}

/** As in any language: a camera writes colons in a date. */
function withHyphens(time: string): string {
  return time.replace(/^(\d{4}):(\d\d):(\d\d)\b/, "$1-$2-$3");
}

/** Reads a whole photo. What is no photo, or damaged, says nothing that this can read. */
export function read(photo: ArrayBuffer): Said {
  try {
    const { exif: tags, gps } = load(photo, { expanded: true });
    const exif = tags as Readonly<Record<string, { readonly description?: unknown }>> | undefined;
    const { Latitude: north, Longitude: east } = gps ?? {};
    return {
      device: text(exif?.["Make"], exif?.["Model"], exif?.["BodySerialNumber"], exif?.["Software"]),
      time: withHyphens(text(exif?.["DateTimeOriginal"] ?? exif?.["DateTime"])),
      place: north === undefined || east === undefined ? "" : `${north.toFixed(DIGITS)}, ${east.toFixed(DIGITS)}`,
      owner: text(exif?.["CameraOwnerName"], exif?.["Artist"], exif?.["Copyright"]),
    };
  } catch {
    return NOTHING;
  }
}

globalThis.onmessage = async ({ data }: MessageEvent<Blob>) => {
  const photo = await data.arrayBuffer().catch(() => new ArrayBuffer(0));
  globalThis.postMessage(read(photo));
};
