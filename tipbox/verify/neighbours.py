"""Paths beside those that a deployment lists: nothing links to them, so that only who asks finds what lies there.

What is chosen here is the same for every look, and known to whoever lies: it finds what was left behind or put down
carelessly. ``looking`` adds a few paths that nobody can know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tipbox.verify.rendering import WELL_KNOWN, Expected

_NOT_OFFERED: Final = ("de", "it", "pt", "tr", "uz", "zh")
"""Languages that pages may once be in."""
_EARLIER: Final = (
    "/static/main.js", "/static/photo.js", "/static/reader.js", "/static/sealer.js", "/static/toll.js",
    "/static/words.txt",
)  # fmt: skip
"""Files of releases before this one."""
_COMMON: Final = (
    "/.env", "/.git/HEAD", "/.well-known/", "/.well-known/change-password", "/.well-known/security.txt", "/admin",
    "/apple-touch-icon.png", "/favicon.ico", "/index.html", "/manifest.json", "/manifest.webmanifest", "/metrics",
    "/plain", "/robots.txt", "/service-worker.js", "/sitemap.xml", "/static/", "/status", "/sw.js",
)  # fmt: skip
"""What browsers, crawlers and people ask for by themselves; a worker at the root would answer for every page."""


def neighbours(expected: Expected) -> list[str]:
    """What must be answered with the page of errors, without those that are listed; ascending."""
    return sorted({*_beside(expected)} - expected.bodies.keys())


def _beside(expected: Expected) -> Iterator[str]:
    yield from (*_EARLIER, *_COMMON, f"{WELL_KNOWN}/", f"{WELL_KNOWN}/config.json", "/.well-known/webcat/other.json")
    for path in expected.bodies:
        language, _, place = path[1:].partition("/")
        if path == f"/{expected.language}/{place}":
            yield from (f"/{other}/{place}" for other in _NOT_OFFERED)
        if language in expected.languages:
            yield f"{path}index.html" if path.endswith("/") else f"{path}/"
        elif path.endswith((".js", ".css")):
            yield from (f"{path}.gz", f"{path}.map")
