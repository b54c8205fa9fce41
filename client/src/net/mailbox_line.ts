// Requests for mailboxes by a connection, repeated while it is bad.

import { demand } from "../errors.js";
import { Connection, type ConnectionOptions } from "./http.js";
import type { AskMailbox } from "./mailbox_client.js";

/** Asks the server whose `/api/mailbox` has this address. */
export function mailboxLine(api: string, options: ConnectionOptions): AskMailbox {
  const connection = new Connection(null, options);
  return (path, body, expected) =>
    connection.retry(async () => {
      const answer = await connection.request({ method: "POST", url: api + path, body, expected });
      demand(answer.length === expected, "network");
      return answer;
    });
}
