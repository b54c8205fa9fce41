"""The process that holds the vault's key while the pages are unlocked, and serves them on loopback.

It ends at the lock, and with it all that it knew. One thread does the work: the vault and its index are that thread's.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from werkzeug.serving import WSGIRequestHandler, make_server

from tipbox.desk.marked import N_
from tipbox.desk.pages import netless
from tipbox.desk.pages.page_app import create_app
from tipbox.desk.pages.page_texts import gettext
from tipbox.desk.pages.session import Session

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_BODY: Final = 4 << 20
"""Bytes of a request: above any message that can be answered with."""
AT_ONCE: Final = "/lock"
"""It uses nothing of the vault."""
_TOO_LONG: Final = N_("this is longer than an answer can be; make it shorter")
_LOOKED: Final = 0.5
"""Seconds between two looks whether it is time to lock."""


class _Quiet(WSGIRequestHandler):
    """Logs nothing: which page was looked at when concerns nobody."""

    timeout = 60

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 (werkzeug's signature)
        pass


class OneThread:
    """Has one thread answer all requests, one after the other; others wait on slow and idle connections.

    The lock waits for no other request: a look at a hostile file may take minutes.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._thread = ThreadPoolExecutor(1)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (WSGI)."""
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            said = f"{gettext(_TOO_LONG)}\n".encode()
            kind = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(said)))]
            start_response("413 Content Too Large", kind)
            return [said]
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        if environ.get("PATH_INFO") == AT_ONCE:
            return self._answer(environ, start_response)
        return self._thread.submit(self._answer, environ, start_response).result()

    def run(self, work: Callable[[], object]) -> None:
        """Have the same thread do something else."""
        self._thread.submit(work).result()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        answer = self._application(environ, start_response)
        try:
            return list(answer)
        finally:
            if close := getattr(answer, "close", None):
                close()


def main() -> None:
    """Serve until it locks. The settings come as a line of JSON on stdin, and the port goes out on stdout."""
    netless.end_with_parent()
    netless.keep_memory_apart()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    given = json.loads(sys.stdin.readline())
    session = Session(Path(given["vault"]), given["token"], seconds=60 * given["minutes"])
    application = create_app(session, given["language"])
    pages = OneThread(application)
    # werkzeug's own server: it comes with Flask, and there is one person at one browser on this machine.
    server = make_server("127.0.0.1", 0, pages, threaded=True, request_handler=_Quiet)
    session.address = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=_watch, args=(session, pages), daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


def _watch(session: Session, pages: OneThread) -> None:
    """End this process when it is time to lock."""
    while not session.ending.wait(_LOOKED):
        if session.idle():
            break
    session.wait_for_work()
    pages.run(session.close)
    os._exit(0)  # at once: nothing that other threads still do may keep what was known in memory
