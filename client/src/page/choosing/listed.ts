// The organisations of a page, read where people read them: in the cards of its own bytes, which also name their keys.

import { fromBase64, toHex } from "../../formats/base/bytes.js";
import { organisationId } from "../../formats/base/ids.js";
import type { Organisation } from "../../messages.js";

/** Those whose cards stand in `page`; each card gets the id of its key, too. Needs a browser that can seal. */
export function listedIn(page: ParentNode): Promise<Organisation[]> {
  const cards = [...page.querySelectorAll<HTMLElement>("[data-identity]")];
  return Promise.all(
    cards.map(async (card) => {
      const said = (part: string): string => card.querySelector(part)?.textContent ?? "";
      const identity = card.dataset["identity"] ?? "";
      const id = toHex(await organisationId(fromBase64(identity) ?? new Uint8Array()));
      card.dataset["id"] = id;
      const aboutIn = card.querySelector<HTMLElement>("[dir]")?.lang ?? "";
      return { id, identity, name: said("b"), where: said(".quiet"), about: said("[dir]"), aboutIn };
    }),
  );
}
