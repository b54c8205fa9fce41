// What the first script hands to the page's own: they come apart, and either may be the later one.

/** The form, as far as there is one without the page's own script. */
export interface FirstField {
  /** What is shown of it: the words above its first field, and that field. */
  readonly root: HTMLElement;
  readonly message: HTMLTextAreaElement;
  /** What comes below. */
  readonly rest: DocumentFragment;
}

/** What was begun before the page's script was there. */
export interface Begun {
  /** Whether that script has run. */
  isPageThere: boolean;
  /** The worker, until it is taken; `null` when it could not be fetched. */
  worker: Worker | null;
  /**
   * Where the entry of the history is that a link made before the first script ran: 1 when it is on top of the page's,
   * -1 once the page went back from it, 0 for none; `null` while that script has not run. From then on no link makes one.
   */
  jump: 1 | 0 | -1 | null;
  /** The form, until the page's script takes it. */
  form: FirstField | null;
  /** The start screen, when the form has taken its place. */
  start: DocumentFragment | null;
  /** What wipes the page when it is left. */
  readonly wipes: (() => void)[];
}

const place = globalThis as { begun?: Begun };

export function begun(): Begun {
  place.begun ??= { isPageThere: false, worker: null, jump: null, form: null, start: null, wipes: [] };
  return place.begun;
}

/** Calls `wipe` whenever the page is left, however that happens. */
export function onLeaving(wipe: () => void): void {
  begun().wipes.push(wipe);
  addEventListener("pagehide", wipe);
}

/** What a page of this site pushed on top of its entry in the history; 0 where there is one entry. */
export function depth(): number {
  const state: unknown = history.state;
  if (state === null || typeof state !== "object" || !("depth" in state)) return 0;
  return typeof state.depth === "number" ? state.depth : 0;
}

/**
 * Notes whether a link made this entry of the history: the address that was asked for has an end behind # else. The
 * entry keeps it, for who loads the page again. Where there are others, one of this site may lie behind Forward.
 */
export function noteJump(): void {
  const [asked] = performance.getEntriesByType("navigation");
  const isJumped = depth() > 0 || (location.hash !== "" && asked?.name.includes("#") === false);
  const behind = history.length > 1 ? -1 : 0;
  begun().jump ??= isJumped ? 1 : behind;
  keepJump();
}

/** A link takes the place of an entry, and of what it keeps. */
export function keepJump(): void {
  if (begun().jump === 1) history.replaceState({ depth: 1 }, "");
}
