"""Manifests as a server alone gives them: for those who have none from the organisations, and say so."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from tipbox.errors import NetworkFailed
from tipbox.formats.manifest import Manifest, as_set
from tipbox.net.http import Connection

_PAGE = "/send"


class _Manifests(HTMLParser):
    """Finds the manifests that the page with the form carries (docs/protocol.md, section 2)."""

    found: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.found = self.found or dict(attrs).get("data-manifests")


def fetch_manifests(connection: Connection) -> list[Manifest]:
    """The manifests in force on a server.

    Raises:
        TipboxError: one of them is not good.
    """
    page = connection.retry(lambda _: connection.request("GET", _PAGE))
    reader = _Manifests()
    reader.feed(page.decode(errors="replace"))
    try:
        texts = json.loads(reader.found or "")
        manifests = [Manifest.parse(text.encode()) for text in texts]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise NetworkFailed(
            "asking for keys: an answer that makes no sense; is this the address of a tipbox?"
        ) from error
    if not manifests:
        raise NetworkFailed("asking for keys: the server has none just now; come back another day")
    return as_set(manifests, "what the server sent")
