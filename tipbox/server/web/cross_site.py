"""Refusing requests that another site caused, and those that did not come through Tor's circuit line."""

from __future__ import annotations

from typing import Final

from flask import Flask, request

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
        # The command line, and browsers older than this header, do not send it; then Origin decides.
        if request.headers.get("Sec-Fetch-Site", "none") not in _OWN:
            raise Refusal("cross-site")
        if request.method not in _SAFE and not _own_origin(request.headers.get("Origin"), request.host):
            raise Refusal("cross-site")


def _own_origin(origin: str | None, host: str) -> bool:
    return origin is None or origin in {f"http://{host}", f"https://{host}"}
