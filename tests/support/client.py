"""A client of bare sockets: what a source sends, byte by byte, and what comes back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from support.sealed import Box, Sent
from tipbox.formats.base.limits import MAILBOX_PIECE
from tipbox.formats.mailbox_list import MailboxList, encode_delete, encode_piece, encode_tokens

if TYPE_CHECKING:
    from support.server import Server


@dataclass(frozen=True)
class Answer:
    """An answer as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.json["error"]

    @property
    def closes(self) -> bool:
        return self.header("Connection") == "close"


class Client:
    """One connection, as Tor makes it: on a unix socket its first line names the circuit."""

    def __init__(self, server: Server, circuit: str | None = None, address: Any = None) -> None:
        self.line = server.connect(address)
        self.reader = self.line.makefile("rb")
        if isinstance(address or server.address, str) and circuit is not None:
            self.line.sendall(f"PROXY TCP6 {circuit} ::1 225 80\r\n".encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.reader.close()
        self.line.close()

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, length: int = -1
    ) -> None:
        """A request; ``length``: announced, when it is not the body's."""
        lines = {"Host": "tipbox.test", **(headers or {})}
        if body is not None or length >= 0:
            lines["Content-Length"] = str(length if length >= 0 else len(body or b""))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.line.sendall(head.encode() + b"\r\n" + (body or b""))

    def receive(self, *, body: bool = True) -> Answer:
        status_line = self.reader.readline()
        if not status_line:
            raise ConnectionResetError("closed without an answer")
        status = int(status_line.split()[1])
        headers: list[tuple[str, str]] = []
        while (line := self.reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            headers.append((name, value))
        size = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        data = self.reader.read(size) if body else b""
        if status == 100:
            return self.receive(body=body)
        return Answer(status, headers, data)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        self.send(method, path, body, headers)
        return self.receive(body=method != "HEAD")

    def ended(self) -> bool:
        """Whether the server has closed the line."""
        try:
            return self.reader.read(1) == b""
        except ConnectionResetError:
            return True

    # The four requests of an upload.

    def open(self, sent: Sent) -> Answer:
        return self.request("PUT", "/api/envelope", sent.start, bearer(sent.token))

    def put(self, sent: Sent, first: int, count: int = 1) -> Answer:
        run = b"".join(sent.parts[first : first + count])
        return self.request("PUT", f"/api/envelope/parts/{first}", run, bearer(sent.token))

    def state(self, sent: Sent) -> Answer:
        return self.request("GET", "/api/envelope", None, bearer(sent.token))

    def finish(self, sent: Sent) -> Answer:
        return self.request("POST", "/api/envelope/finish", sent.end, bearer(sent.token))

    def stored_parts(self, sent: Sent, first: int = 0) -> Answer:
        return self.request("GET", f"/api/envelope/parts/{first}", None, bearer(sent.token))

    def upload(self, sent: Sent) -> Answer:
        """The whole way; the last answer."""
        answer = self.open(sent)
        assert answer.status in {200, 201}, answer
        for first in range(0, len(sent.parts), 64):
            answer = self.put(sent, first, 64)
            assert answer.status == 200, answer
        return self.finish(sent) if sent.parts else answer

    # The three of a mailbox.

    def mailbox(self, box: Box) -> MailboxList:
        """What lies in a mailbox."""
        answer = self.request("POST", "/api/mailbox", encode_tokens(box.tokens))
        assert answer.status == 200, answer
        return MailboxList.parse(answer.body)

    def piece(self, box: Box, reply: bytes, number: int) -> bytes:
        answer = self.request("POST", "/api/mailbox/piece", encode_piece(box.tokens, reply, number))
        assert answer.status == 200, answer
        assert len(answer.body) == MAILBOX_PIECE
        return answer.body

    def whole(self, box: Box, reply: Sent) -> bytes:
        """A reply, fetched by pieces."""
        count = -(-len(reply.whole) // MAILBOX_PIECE)
        return b"".join(self.piece(box, reply.id, number) for number in range(count))

    def delete(self, box: Box, *replies: Sent) -> None:
        body = encode_delete(box.tokens, [one.id for one in replies])
        answer = self.request("POST", "/api/mailbox/delete", body)
        assert (answer.status, answer.body) == (200, bytes(32)), answer


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
