"""Taking an organisation off a running server, so that no tip and no reply is lost with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from tipbox.errors import InputRefused, NotFound
from tipbox.server.storage import organisations
from tipbox.server.storage.models import Slot
from tipbox.server.storage.open_server import open_server
from tipbox.server.upkeep.status import coarse


@dataclass(frozen=True)
class Removal:
    """An organisation that was removed, and in coarse steps how many Envelopes it had not carried."""

    organisation: str
    waiting: str


def remove_organisation(home: Path, name: str, *, leave_waiting: bool = False) -> Removal:
    """Take an organisation's manifest out of force: within a second or two no host offers it to sources any more.

    What has a slot for it stays until every other organisation has carried it and it expires, and goes out to it again
    when it comes back with a newer manifest. Its replies stay in their mailboxes.

    Args:
        home: the server's folder; the server may be running.
        name: the organisation's short name.
        leave_waiting: also when Envelopes wait for it.

    Raises:
        NotFound: no such organisation is in force here.
        InputRefused: Envelopes wait for it.
    """
    with open_server(home) as server:
        listed = organisations.find_by_name(server.store, name)
        if listed is None:
            raise NotFound(f"removing {name}: there is no such organisation on this server")
        ident = listed.manifest.id
        waiting = server.store.read(
            lambda connection: connection.execute(
                select(func.count()).where(Slot.organisation == ident, Slot.acknowledged.is_(False))
            ).scalar_one()
        )
        if waiting and not leave_waiting:
            raise InputRefused(
                f"removing {name}: {coarse(waiting)} Envelopes wait for it; let its couriers fetch and deliver once "
                "more, or add --leave-waiting: they stay until they expire, and nobody else can open its part"
            )
        organisations.remove(server.home, server.store, name)
        return Removal(name, coarse(waiting))
