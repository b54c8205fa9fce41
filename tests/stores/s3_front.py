"""What stands before a bucket and is not S3, or lets through less than S3 does."""

from __future__ import annotations

import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import urlsplit

ERROR: Final = '<?xml version="1.0"?><Error><Code>{}</Code><Message>x</Message></Error>'
REFUSALS: Final = {
    "no bucket": (404, "NoSuchBucket"),
    "no such key": (403, "InvalidAccessKeyId"),
    "busy": (503, "SlowDown"),
}
_OWN: Final = {"connection", "content-length", "transfer-encoding"}


class Front:
    """Hands requests on to the service at ``address``. ``mood``: what it does instead; empty for nothing.

    ``reading only`` and ``full``: what writes is refused. ``another service``: a page answers everything.
    """

    def __init__(self, address: str) -> None:
        self.mood = ""
        there, front = urlsplit(address), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def say(self, status: int, data: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in _OWN:
                        self.send_header(name, value)
                size = next((value for name, value in headers if name.lower() == "content-length"), str(len(data)))
                self.send_header("Content-Length", size)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                writes = self.command in {"PUT", "POST", "DELETE"}
                if front.mood in REFUSALS:
                    status, code = REFUSALS[front.mood]
                    self.say(status, ERROR.format(code).encode())
                elif front.mood == "reading only" and writes:
                    self.say(403, ERROR.format("AccessDenied").encode())
                elif front.mood == "full" and writes:
                    self.say(507, ERROR.format("InsufficientStorage").encode())
                elif front.mood == "another service":
                    self.say(200, b"<html>Please log in</html>")
                else:
                    way = HTTPConnection(there.hostname or "", there.port)
                    way.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        way.putheader(name, value)
                    way.endheaders(body)
                    found = way.getresponse()
                    self.say(found.status, found.read(), tuple(found.getheaders()))
                    way.close()

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 (as the base class asks)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
