"""A server that lies: what it answers is a real server's, changed on the way as a test says."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Headers = list[tuple[str, str]]


@dataclass
class Reply:
    """An answer on its way: what a test changes."""

    path: str
    status: int
    headers: Headers
    body: bytes
    missing: int = 0
    """So many bytes fewer are sent than are said to come."""
    raw: bytes = b""
    """In place of all of it."""

    def set(self, name: str, value: str | None) -> None:
        """Another value of a header, or none."""
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))


@dataclass
class Liar:
    """Listens on ``port``, and passes on to a server on this machine."""

    address: tuple[str, int]
    change: Callable[[Reply], None] = lambda _: None
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def lying(address: tuple[str, int]) -> Iterator[Liar]:
    liar = Liar(address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            line = http.client.HTTPConnection(*liar.address, timeout=120)
            try:
                headers = {name: value for name, value in self.headers.items() if name != "Accept-Encoding"}
                line.request("GET", self.path, headers=headers)
                answer = line.getresponse()
                kept = [(name, value) for name, value in answer.getheaders() if name not in _OF_LINE]
                reply = Reply(self.path, answer.status, kept, answer.read())
            finally:
                line.close()
            liar.asked.append(self.path)
            liar.change(reply)
            if reply.raw:
                self.wfile.write(reply.raw)
                self.close_connection = True
                return
            self.send_response_only(reply.status)
            for name, value in [*reply.headers, ("Content-Length", str(len(reply.body)))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body[: len(reply.body) - reply.missing])
            self.close_connection = self.close_connection or reply.missing > 0

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Whoever asked has read enough."""

    server = Server(("127.0.0.1", 0), Handler)
    liar.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield liar
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_OF_LINE = frozenset({"Connection", "Content-Length", "Transfer-Encoding", "Date", "Server"})
