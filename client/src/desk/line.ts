// Asks the process behind the pages. The secret of this session is in this module's memory and nowhere else: a second
// tab, and whoever has the address, has none.

export type Fields = readonly (readonly [string, string])[];

const HEADER = "X-Tipbox-Session";
const FORM = "application/x-www-form-urlencoded;charset=UTF-8";

/** The session is over, or was never this page's. */
export class Locked extends Error {}

/** What was asked for was refused; the message is one line for people. */
export class Problem extends Error {}

let secret = "";

async function post(path: string, fields: Fields, isLast = false): Promise<Response> {
  const body = new URLSearchParams(fields.map(([name, value]) => [name, value]));
  try {
    return await fetch(path, {
      method: "POST",
      headers: { "Content-Type": FORM, [HEADER]: secret },
      body: body.toString(),
      cache: "no-store",
      credentials: "omit",
      keepalive: isLast,
      redirect: "error",
    });
  } catch {
    throw new Locked();
  }
}

/** Spends the token of the address; what is wrong, or nothing. */
export async function unlock(token: string, passphrase: string): Promise<string> {
  const answer = await post("/unlock", [
    ["token", token],
    ["passphrase", passphrase],
  ]);
  if (answer.status === 401) throw new Locked();
  if (!answer.ok) return (await answer.text()).trim();
  secret = answer.headers.get(HEADER) ?? "";
  return "";
}

/** A screen, or what came of an act. */
export async function ask(path: string, fields: Fields = []): Promise<string> {
  const answer = await post(path, fields);
  if (answer.status === 401) throw new Locked();
  const text = await answer.text();
  if (!answer.ok) throw new Problem(text.trim());
  return text;
}

/** Bytes of a picture that our side made. */
export async function askPicture(path: string, fields: Fields): Promise<Blob> {
  const answer = await post(path, fields);
  if (answer.status === 401) throw new Locked();
  if (!answer.ok) throw new Problem((await answer.text()).trim());
  return answer.blob();
}

/** The last words of this page: they are said although it is closed. */
export function sayLast(path: string, fields: Fields = []): void {
  if (secret) void post(path, fields, true).catch(() => undefined);
}

/** Forgets the secret. */
export function hangUp(): void {
  secret = "";
}
