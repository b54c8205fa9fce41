// The one request of who leaves: its answer has the browser drop what it keeps for this site.

/** Asks for the neutral page, once; whether there was an answer. */
export async function askNeutral(address: string): Promise<boolean> {
  const answer = await fetch(address).catch(() => null);
  return answer !== null;
}
