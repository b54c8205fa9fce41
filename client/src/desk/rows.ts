// Rows of threads: which one is looked at, and which are chosen.

const CURRENT = "current";

function rows(): HTMLTableRowElement[] {
  return [...document.querySelectorAll<HTMLTableRowElement>("#screen tr[data-thread]")];
}

function box(row: Element): HTMLInputElement | null {
  return row.querySelector<HTMLInputElement>("input[type=checkbox]");
}

/** The row that is looked at. */
export function current(): HTMLTableRowElement | null {
  return document.querySelector<HTMLTableRowElement>(`#screen tr.${CURRENT}`);
}

/** Looks at a row. */
export function lookAt(row: HTMLTableRowElement | undefined): void {
  if (!row) return;
  current()?.classList.remove(CURRENT);
  row.classList.add(CURRENT);
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

/** Looks at the row so many further on. */
export function move(by: number): void {
  const all = rows();
  const here = current();
  const at = here ? all.indexOf(here) + by : 0;
  lookAt(all[Math.max(0, Math.min(all.length - 1, at))]);
}

/** After a screen was shown anew: looks at the thread that was looked at, or at what stands in its place. */
export function resume(thread: string, at: number): void {
  const all = rows();
  lookAt(all.find((row) => row.dataset["thread"] === thread) ?? all[Math.min(Math.max(0, at), all.length - 1)]);
}

/** Where the row stands that is looked at; -1 without one. */
export function place(): number {
  const here = current();
  return here ? rows().indexOf(here) : -1;
}

/** The threads that are shown, in their order. */
export function shown(): string[] {
  return rows().map((row) => row.dataset["thread"] ?? "");
}

/** The threads that an act is for: those that are chosen, or the one that is looked at. */
export function chosen(): string[] {
  const picked = rows().filter((row) => box(row)?.checked);
  const here = current();
  const meant = picked.length > 0 || !here ? picked : [here];
  return meant.map((row) => row.dataset["thread"] ?? "");
}

/** Chooses the row that is looked at, or no longer, and goes on to the next. */
export function choose(): void {
  const here = current();
  const check = here && box(here);
  if (check) check.checked = !check.checked;
  move(1);
}

/** Chooses all, or none when all are chosen. */
export function chooseAll(): void {
  const boxes = rows().map(box);
  const isAll = boxes.every((check) => check?.checked);
  for (const check of boxes) if (check) check.checked = !isAll;
}

/** Chooses all but the first of each table of what says exactly the same: what is only alike, a person looks at. */
export function chooseLater(): void {
  for (const table of document.querySelectorAll("#screen [data-exact] table.threads")) {
    const [, ...later] = table.querySelectorAll("tr[data-thread]");
    for (const row of later) {
      const check = box(row);
      if (check) check.checked = true;
    }
  }
}
