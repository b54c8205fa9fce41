"""The server that a desk works with: pinned at the first import, compared, read aloud, forgotten by hand."""

from __future__ import annotations

from dataclasses import replace

from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import NoBundleYet
from tipbox.desk.vault.records import Server, Traffic
from tipbox.desk.vault.vault import Vault
from tipbox.formats.manifest import id_digits, server_id


def server_digits(server: Server) -> str:
    """What desk and operator compare, read aloud: the server's id, 30 digits in groups of five."""
    return id_digits(server_id(server.sender))


def pinned(vault: Vault) -> Server:
    """The server that is pinned.

    Raises:
        NoBundleYet: none is.
    """
    server = Server.find(vault)
    if server is None:
        raise NoBundleYet("looking for the server: none is pinned here; the next Bundle that is imported pins its own")
    return server


def forget(vault: Vault) -> Server:
    """Unpin the server: the next Bundle pins the one that it comes from. Nothing that waits to be taken is lost.

    Raises:
        NoBundleYet: none is pinned.
    """
    with vault.transaction():
        server = pinned(vault)
        traffic = Traffic.of(vault)
        replace(traffic, seen=(), base=traffic.base + max(dict(traffic.seen), default=0)).save(vault)
        vault.delete(Server.kind, b"")
        note(vault, "unpin", server_id(server.sender))
    return server
