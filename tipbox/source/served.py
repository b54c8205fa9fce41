"""Manifests as a server alone gives them: for those who have none from the organisations, and say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser

from tipbox.errors import NetworkFailed, TipboxError
from tipbox.formats.manifest import Manifest, as_set
from tipbox.net.http import Connection

_PAGE = "/send"


class _Manifests(HTMLParser):
    """Finds the manifests that the page with the form carries (docs/protocol.md, section 2)."""

    found: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.found = self.found or dict(attrs).get("data-manifests")


def fetch_manifests(connection: Connection, remark: Callable[[str], None]) -> list[Manifest]:
    """The manifests in force on a server. One that is not good is left out, and ``remark`` is told.

    Raises:
        TipboxError: none of them is good.
    """
    page = connection.retry(lambda _: connection.request("GET", _PAGE))
    reader = _Manifests()
    reader.feed(page.decode(errors="replace"))
    try:
        files = [text.encode() for text in json.loads(reader.found or "")]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise NetworkFailed(
            "asking for keys: an answer that makes no sense; is this the address of a tipbox?"
        ) from error
    if not files:
        raise NetworkFailed("asking for keys: the server has none just now; come back another day")
    manifests = []
    for number, file in enumerate(files, 1):
        try:
            manifests.append(Manifest.parse(file))
        except TipboxError as error:
            named = type(error)(f"reading the server's key manifest {number} of {len(files)}: {error}")
            if number == len(files) and not manifests:
                raise named from error
            remark(f"{named} Going on without it.")
    return as_set(manifests, "what the server sent")
