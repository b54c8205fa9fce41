"""What a request must be to be answered, and what every answer says about itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Flask, Response, abort, request
from flask.typing import ResponseReturnValue

from tipbox.desk.pages.session import OpenDesk, Session

Screen = Callable[[OpenDesk], ResponseReturnValue]
ForDesk = Callable[[str], Callable[[Screen], Screen]]
"""What adds a screen or an act at a path, for whoever has unlocked the pages."""

SESSION_HEADER: Final = "X-Tipbox-Session"
OPEN_PATHS: Final = frozenset({"/", "/desk.js", "/desk.css", "/favicon.ico"})
"""What anybody at this loopback gets: it is the same for all, and says nothing of the vault."""

HEADERS: Final = {
    # The scripts and styles are files of ours, and nothing else runs or is loaded; pictures are made by our script.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def guard(app: Flask, session: Session) -> None:
    """Have the application refuse what does not come from its own page."""

    @app.before_request
    def _from_this_page() -> None:
        # Another name for this address is another site's, which a page out there may have been given by its DNS.
        if request.host != session.address:
            abort(421)
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            abort(403)
        if request.path in OPEN_PATHS:
            return
        if request.headers.get("Origin") != f"http://{session.address}":
            abort(403)
        if "\0" in request.form.get("path", ""):  # no name of a file has one
            abort(400)

    @app.after_request
    def _headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response
