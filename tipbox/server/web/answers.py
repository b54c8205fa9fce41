"""How errors are answered, as JSON or as a page (docs/protocol.md, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from flask import Flask, jsonify, request
from flask_limiter import RateLimitExceeded
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response as AnyResponse

from tipbox.errors import FORMAT_ERRORS, Full, TipboxError
from tipbox.server import log
from tipbox.server.refusal import Refusal, let_go
from tipbox.server.storage.transactions import DISK_FULL
from tipbox.server.uploads.intake import Cut
from tipbox.server.web.rates import Rates
from tipbox.server.web.upload_api import PREFIX
from tipbox.server.web.worker_keys import WIPE

STATUS: Final[Mapping[str, int]] = {
    "no-circuit": 403,
    "cross-site": 403,
    "no-token": 401,
    "no-draft": 404,
    "not-found": 404,
    "method": 405,
    "length-required": 411,
    "too-large": 413,
    "draft-differs": 409,
    "part-differs": 409,
    "incomplete": 409,
    "unknown-organisation": 422,
    "slow-down": 429,
    "toll": 429,
    "full": 507,
    "unavailable": 503,
}
"""What answers each refusal."""
FORMAT_STATUS: Final = 400
"""What answers all errors of the format."""
SLOW_SECONDS = "5"
"""How long to wait, where no budget says it."""


def answer_errors(app: Flask, page: Callable[[Refusal, int], AnyResponse] | None, rates: Rates | None) -> None:
    """Answer every error of ``app`` as section 4 says: as JSON below ``/api/``, or everywhere without ``page``."""

    def answer(refusal: Refusal) -> AnyResponse:
        status = STATUS.get(refusal.code, FORMAT_STATUS)
        if refusal.wipe and (wipe := request.environ.get(WIPE)):
            wipe()
        if page is not None and not request.path.startswith(PREFIX):
            return page(refusal, status)
        response = jsonify({"error": refusal.code, "message": refusal.message, **refusal.state})
        response.status_code = status
        if refusal.code == "slow-down":
            response.headers["Retry-After"] = SLOW_SECONDS
        return response

    @app.errorhandler(Refusal)
    def refused(refusal: Refusal) -> AnyResponse:
        let_go(refusal)
        return answer(refusal)

    @app.errorhandler(TipboxError)
    def format_error(error: TipboxError) -> AnyResponse:
        if isinstance(error, Full):
            return answer(Refusal("full"))
        if isinstance(error, FORMAT_ERRORS):
            let_go(error)
            return answer(Refusal(error.code, str(error)))
        return unexpected(error)

    @app.errorhandler(RateLimitExceeded)
    def slow_down(error: RateLimitExceeded) -> AnyResponse:
        let_go(error)
        response = answer(Refusal("slow-down"))
        response.headers["Retry-After"] = str(rates.retry_after() if rates else 1)
        return response

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> AnyResponse:
        let_go(error)
        if isinstance(error, RequestRedirect):
            return error.get_response()
        code = {404: "not-found", 405: "method", 413: "too-large"}.get(error.code or 0)
        return answer(Refusal(code)) if code else answer(Refusal("malformed", "The request is malformed."))

    @app.errorhandler(Cut)
    def cut(error: Cut) -> AnyResponse:
        let_go(error)
        return answer(Refusal("incomplete"))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> AnyResponse:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return answer(Refusal("full"))
        log.fault(error)
        let_go(error)
        response = answer(Refusal("unavailable"))
        response.headers["Retry-After"] = "10"
        return response
