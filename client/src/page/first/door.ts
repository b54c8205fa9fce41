// Screens that links lead to.

export type Door = "start" | "write" | "read" | "continue";

export function isDoor(name: string | undefined): name is Door {
  return name === "start" || name === "write" || name === "read" || name === "continue";
}

/** Whether an address leads to the form. */
export function isToWrite({ hash, pathname }: Location): boolean {
  return hash === "#write" || pathname.endsWith("/send");
}

/** The door that an address leads to: of a link that was pressed before the script came, or of an old page. */
export function doorOf(place: Location): Door {
  const { hash, pathname } = place;
  if (isToWrite(place)) return "write";
  if (hash === "#continue") return "continue";
  return hash === "#read" || pathname.endsWith("/inbox") ? "read" : "start";
}
