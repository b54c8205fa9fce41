"""The check that needs the sources' application: do answers carry the strict headers."""

from __future__ import annotations

from datetime import date

from tipbox.server.storage.open_server import OpenServer
from tipbox.server.upkeep.finding import Finding
from tipbox.server.web.app import STORE, create_app
from tipbox.server.web.headers import HEADERS, PAGE_HEADERS


def headers(server: OpenServer, _today: date) -> Finding:
    """Ask for the start page as a source does, and compare its headers."""
    app = create_app(server.home, server.config)
    try:
        answer = app.test_client().get("/", follow_redirects=True)
    finally:
        app.extensions[STORE].engine.dispose()
    wrong = [name for name, value in (HEADERS | PAGE_HEADERS).items() if answer.headers.get(name) != value]
    wrong += [f"{name} is sent" for name in ("Set-Cookie", "ETag") if name in answer.headers]
    return Finding(
        "headers",
        not wrong,
        f"missing or other than they must be: {', '.join(wrong)}"
        if wrong
        else "every answer carries the strict headers",
        "install this release again: its program was changed" if wrong else "",
        wrong=len(wrong),
    )
