// Which notices the page shows: those of today that a desk key signed which is named by a manifest of the page's own
// organisations. Any other is passed over: nothing depends on it.

import { equal, toHex, utf8 } from "../formats/base/bytes.js";
import type { Day } from "../formats/base/days.js";
import type { Manifest } from "../formats/manifest.js";
import { check, parse } from "../formats/notice.js";
import type { Said } from "../messages.js";

/** The words of a notice in a language, or in one of its own; a page has one language. */
function wordsOf(
  text: ReadonlyMap<string, string>,
  language: string,
): { readonly language: string; readonly words: string } {
  const [first] = text.keys();
  const chosen = text.has(language) ? language : (first ?? "");
  return { language: chosen, words: text.get(chosen) ?? "" };
}

/** `manifests` are good, and of organisations of the page. */
export async function readNotices(
  files: readonly string[],
  manifests: readonly Manifest[],
  language: string,
  today: Day,
): Promise<Said[]> {
  const found: Said[] = [];
  for (const file of files) {
    try {
      const notice = await parse(utf8(file));
      check(notice, today);
      const of = manifests.find(({ id, desk }) => equal(id, notice.id) && equal(desk, notice.desk));
      if (of !== undefined)
        found.push({
          organisation: toHex(of.id),
          name: of.name,
          from: notice.from,
          ...wordsOf(notice.text, language),
        });
    } catch {
      // not one of theirs
    }
  }
  return found;
}
