"""Refusing requests that another site caused, and those that did not come through Tor's circuit line."""

from __future__ import annotations

from typing import Any, Final

from flask import Flask, request
from werkzeug.wsgi import get_host

from tipbox.server.refusal import Refusal
from tipbox.server.web.worker_keys import CIRCUIT, CIRCUIT_DEMANDED

_OWN: Final = frozenset({"same-origin", "none"})
_SAFE: Final = frozenset({"GET", "HEAD"})


def refuse_strangers(app: Flask) -> None:
    """Check every request of ``app`` before anything else looks at it."""

    @app.before_request
    def check() -> None:
        environ = request.environ
        if environ.get(CIRCUIT_DEMANDED) and not environ.get(CIRCUIT):
            raise Refusal("no-circuit")
        if not is_own(environ):
            raise Refusal("cross-site")


def is_own(environ: dict[str, Any]) -> bool:
    """Whether no other site caused this request, as far as its headers say."""
    # The command line, and browsers older than this header, do not send it; then Origin decides.
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in _OWN:
        return False
    if environ["REQUEST_METHOD"] in _SAFE:
        return True
    origin, host = environ.get("HTTP_ORIGIN"), get_host(environ)
    return origin is None or origin in {f"http://{host}", f"https://{host}"}
