// What photos say about their maker, on request: a script of its own reads them here, before anything is sealed. No
// photo is ever changed: that would be for people to decide, and to see.

import { app, element } from "../screen.js";
import { apart, type Texts } from "../texts.js";
import { shownName } from "./file_names.js";

/** What is said of one photo. */
type Said = Readonly<Record<"device" | "time" | "place" | "owner", string>>;

/** Bytes above which no photo is read: a phone has to hold it. */
const LARGEST = 50_000_000;
/** Milliseconds within which a photo is read; with the first comes the script that reads them. */
const PATIENCE = 300_000;

/** Whether this can be asked of a file. */
export function isPhoto(file: File): boolean {
  return file.type.startsWith("image/") && file.size <= LARGEST;
}

function ask(worker: Worker, photo: File): Promise<Said> {
  return new Promise((resolve, reject) => {
    const lost = (): void => {
      clearTimeout(timer);
      reject(new Error("no script reads photos"));
    };
    const timer = setTimeout(lost, PATIENCE);
    worker.onmessage = ({ data }: MessageEvent<Said>) => {
      clearTimeout(timer);
      resolve(data);
    };
    worker.onerror = lost;
    worker.postMessage(photo);
  });
}

function sentence(texts: Texts, { place, time, device, owner }: Said): string {
  const found = [
    place && texts.get("photoPlace", { value: apart(place) }),
    time && texts.get("photoTime", { value: apart(time) }),
    device && texts.get("photoDevice", { value: apart(device) }),
    owner && texts.get("photoOwner", { value: apart(owner) }),
  ].filter(Boolean);
  return found.length === 0 ? texts.get("photoNothing") : found.join(" · ");
}

/** Writes what each photo says into `list`, one after the other; `false` when the script did not come. */
export async function tellPhotos(texts: Texts, list: HTMLElement, photos: readonly File[]): Promise<boolean> {
  const worker = new Worker(app?.dataset["photo"] ?? "");
  list.replaceChildren();
  try {
    for (const photo of photos) {
      const said = await ask(worker, photo);
      const row = element("li");
      row.append(element("bdi", shownName(photo.name)), element("br"), sentence(texts, said));
      list.append(row);
    }
    return true;
  } catch {
    return false;
  } finally {
    worker.terminate();
  }
}
