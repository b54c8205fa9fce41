// Names of files: shown so that they cannot pretend to be of another kind, and plain ones to send in their place.

/** What turns the direction of a text and is not seen itself. */
const TURNS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const EXTENSION = /\.([A-Za-z0-9]{1,8})$/;
const KINDS: readonly (readonly [string, string])[] = [
  ["image/", "photo"],
  ["video/", "video"],
  ["audio/", "audio"],
];

/** Characters of a longer name that are shown of its beginning, and of its end with the extension. */
const SHOWN = [40, 20] as const;

/**
 * A name in which what turns the direction of a text can be seen, so that the extension stands at the end; of a long
 * one the middle is left out.
 */
export function shownName(name: string): string {
  const seen = name.replace(TURNS, (sign) => `⟨U+${sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
  const characters = [...seen];
  const [start, end] = SHOWN;
  if (characters.length <= start + end) return seen;
  return `${characters.slice(0, start).join("")}…${characters.slice(-end).join("")}`;
}

/** Names that say the kind of each file and no more: photo-1.jpg. The contents stay. */
export function plainNames(files: readonly File[]): string[] {
  const counts = new Map<string, number>();
  return files.map(({ name, type }) => {
    const kind = KINDS.find(([start]) => type.startsWith(start))?.[1] ?? "file";
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    const extension = EXTENSION.exec(name)?.[1]?.toLowerCase();
    return `${kind}-${count}${extension === undefined ? "" : `.${extension}`}`;
  });
}
