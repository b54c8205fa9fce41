// Requests of which no more counts than that they were answered.

/** Asks once, for what has the browser drop what it keeps for this site, say; whether there was an answer. */
export async function isAnswered(address: string, method = "GET"): Promise<boolean> {
  const answer = await fetch(address, { method }).catch(() => null);
  return answer !== null;
}
