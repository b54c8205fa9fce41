"""The short way of the requests that store a tip: they need little of what a page passes on its way through Flask.

They are counted, checked and answered as there: the same budgets, the same functions, the same bytes. Whatever is out
of the common goes the long way, and nothing is refused here: a refusal is worded by the application's own handlers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response

from tipbox.server.config import Limits
from tipbox.server.web.cross_site import is_own
from tipbox.server.web.headers import HEADERS
from tipbox.server.web.rates import Rates
from tipbox.server.web.upload_api import Answer, UploadRequests
from tipbox.server.web.worker_keys import CIRCUIT

_OPEN: Final = "/api/envelope"
_FINISH: Final = "/api/envelope/finish"
_PARTS: Final = "/api/envelope/parts/"
_MOST_DIGITS: Final = 9
_STATUS: Final = {status: f"{status} {HTTPStatus(status).phrase.upper()}" for status in (200, 201)}
_ALWAYS: Final = tuple(HEADERS.items())
_Call = Callable[[dict[str, Any]], Answer]


class ShortWay:
    """In front of an application: takes what it can, and hands on the rest.

    Args:
        app: the application, with all that it has been given.
        requests: what the requests do.
        rates: the budgets, which both ways share.
        limits: how large they are.
    """

    def __init__(self, app: Flask, requests: UploadRequests, rates: Rates, limits: Limits) -> None:
        self._app, self._long_way = app, app.wsgi_app
        self._requests = requests
        self._open = rates.counted("api.open_envelope", limits.open)
        self._parts = rates.counted("api.put_parts", limits.parts)
        self._finish = rates.counted("api.finish", limits.finish)

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """A request, as WSGI has it.

        No ``__call__``, and no ``partial`` below: the interpreter takes the way through C for both, and each such step
        costs a kilobyte for as long as a slow body is waited for.
        """
        try:
            call = self._call(environ)
            found = call(environ) if call else None
        except Exception as error:  # noqa: BLE001 (answered as any error of the application)
            with self._app.request_context(environ):
                refusal: Response = self._app.finalize_request(self._app.handle_user_exception(error))
            return refusal(environ, start_response)
        if found is None:
            return self._long_way(environ, start_response)
        body = json.dumps(found.state.to_json(), separators=(",", ":"), sort_keys=True).encode() + b"\n"
        kind = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(_STATUS[found.status], [*kind, *_ALWAYS])
        return (body,)

    def _call(self, environ: dict[str, Any]) -> _Call | None:
        """What does this request, once it is counted; None: the long way, which also says what is wrong with it."""
        circuit = environ.get(CIRCUIT)
        if not circuit or environ.get("QUERY_STRING") or not is_own(environ):
            return None
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method == "PUT" and path == _OPEN:
            return self._requests.open if self._open(circuit) else None
        if method == "PUT" and path.startswith(_PARTS):
            written = path.removeprefix(_PARTS)
            if written.isascii() and written.isdigit() and len(written) <= _MOST_DIGITS:
                first = int(written)
                return (lambda environ: self._requests.parts(environ, first)) if self._parts(circuit) else None
        elif method == "POST" and path == _FINISH:
            return self._requests.finish if self._finish(circuit) else None
        return None
