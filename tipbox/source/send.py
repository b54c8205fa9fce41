"""Sending a tip to a server."""

from __future__ import annotations

from collections.abc import Callable

from tipbox.errors import NotFound
from tipbox.net.http import Connection
from tipbox.source.recipients import Roster
from tipbox.source.sealing import SealedTip
from tipbox.source.upload import Upload


def compare_keys(connection: Connection, roster: Roster) -> Roster:
    """Compare all manifests with those that the server serves; where the server's is newer, it is taken.

    Raises:
        IdentityChanged: the server serves another identity key.
        NotFound: the server does not know one of the organisations.
    """

    def served(name: str) -> bytes:
        try:
            return connection.retry(lambda _: connection.request("GET", f"/keys/{name}.json"))
        except NotFound as error:
            raise NotFound(f"comparing keys: the server does not know {name}; use the keys of this server") from error

    return roster.compared(served)


def send_tip(upload: Upload, tip: SealedTip, progress: Callable[[int], None] = lambda _: None) -> None:
    """Send a sealed tip; it is stored when this returns."""
    upload.send(tip.head, tip.parts(), tip.sealed.header.parts, progress)
