"""The present export of each organisation, in the database: any host lists it, and serves any byte of its volumes.

What is kept of a volume is small (``PreparedVolume``); its bytes are made when a courier reads them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from tipbox.files.lock import exclusive
from tipbox.formats.base.primitives import sha256
from tipbox.formats.manifest import key_id
from tipbox.server.bundles.export import PreparedVolume, prepare_volumes, reader_of
from tipbox.server.storage.models import Organisation, StoredVolume
from tipbox.server.storage.open_server import OpenServer
from tipbox.server.storage.organisations import find_by_name
from tipbox.server.storage.transactions import Store

_LOCK_SIZE: Final = 8
"""Bytes of the number of PostgreSQL's advisory lock."""


@dataclass(frozen=True)
class ListedVolume:
    """A volume that couriers are told of: its name and its size in bytes."""

    name: str
    size: int


def present_export(server: OpenServer, organisation: str, today: date) -> list[ListedVolume]:
    """The volumes of today's export. It is made once a day, after ``forget``, and when Envelopes or its key have gone.

    What it holds is not looked at again, however much that is: who takes something out of it says so (``withdraw``).

    Raises:
        NotFound: no such organisation here.
        NoCurrentKey: its manifest names no receiving key for this day.
    """
    with _alone(server, organisation):
        _, key = reader_of(server, organisation, today)
        listed, reader_key = server.store.read(partial(_listed, organisation=organisation, today=today))
        # Of a key that was revoked since: others may have it.
        if listed and reader_key == key_id(key.public):
            return listed
        prepared = prepare_volumes(server, organisation, today)
        server.store.write(partial(_keep, organisation=organisation, prepared=prepared, today=today))
        return [ListedVolume(volume.name, volume.sealed.size) for volume in prepared]


def find_volume(server: OpenServer, organisation: str, name: str) -> PreparedVolume | None:
    """A volume of the present export or of the one before, so that a download goes on beside a new one.

    None also when the manifest in force does not name its key any more.
    """
    listed = find_by_name(server.store, organisation)
    keys = {key_id(key.public) for key in listed.manifest.keys} if listed is not None else set()
    volume = _kept(server.store, organisation, name)
    return volume if volume is not None and volume.name == name and volume.reader_key in keys else None


def forget(server: OpenServer, organisation: str) -> None:
    """The next export is a new one; couriers may still read volumes of this one."""
    with _alone(server, organisation):
        server.store.write(
            lambda connection: connection.execute(
                update(StoredVolume).where(StoredVolume.organisation.in_(_id(organisation))).values(listed=False)
            )
        )


def withdraw(server: OpenServer, organisation: str, sequence: int) -> None:
    """Couriers are told of this export no more: something that it holds has gone."""
    server.store.write(
        lambda connection: connection.execute(
            update(StoredVolume)
            .where(StoredVolume.organisation.in_(_id(organisation)), StoredVolume.sequence == sequence)
            .values(listed=False)
        )
    )


def drop_before(store: Store, day: date) -> int:
    """Remove the volumes of exports of earlier days; how many."""
    old = delete(StoredVolume).where(StoredVolume.day < day)
    return store.write(lambda connection: connection.execute(old).rowcount)


def _id(organisation: str) -> Select[bytes]:
    return select(Organisation.id).where(Organisation.name == organisation)


def _alone(server: OpenServer, organisation: str) -> AbstractContextManager[None]:
    """One process at a time makes or drops an organisation's export."""
    folder = server.home.outgoing / organisation
    folder.mkdir(exist_ok=True)
    number = int.from_bytes(sha256(b"tipbox export\0" + organisation.encode())[:_LOCK_SIZE], signed=True)
    return server.store.one_at_a_time(number, exclusive(folder))


def _listed(connection: Connection, organisation: str, today: date) -> tuple[list[ListedVolume], bytes]:
    """The volumes of which couriers are told on this day, and the id of the key that opens them all."""
    listed = (StoredVolume.organisation.in_(_id(organisation)), StoredVolume.listed, StoredVolume.day == today)
    order = (StoredVolume.sequence, StoredVolume.number)
    rows = connection.execute(select(*order, StoredVolume.size).where(*listed).order_by(*order)).all()
    if not rows:
        return [], b""
    first: bytes = connection.execute(select(StoredVolume.head).where(*listed).order_by(*order).limit(1)).scalar_one()
    volumes = [ListedVolume(_name(organisation, row[0], row[1]), row[2]) for row in rows]
    return volumes, PreparedVolume.load(volumes[0].name, first).reader_key


def _name(organisation: str, sequence: int, number: int) -> str:
    return f"{organisation}-{sequence}-{number}.bundle"


def _kept(store: Store, organisation: str, name: str) -> PreparedVolume | None:
    """What is kept of a volume."""
    sequence, number = name.removesuffix(".bundle").rsplit("-", 2)[1:]
    wanted = select(StoredVolume.head).where(
        StoredVolume.organisation.in_(_id(organisation)),
        StoredVolume.sequence == int(sequence),
        StoredVolume.number == int(number),
    )
    head = store.read(lambda connection: connection.execute(wanted).scalar_one_or_none())
    return None if head is None else PreparedVolume.load(_name(organisation, int(sequence), int(number)), head)


def _keep(connection: Connection, organisation: str, prepared: list[PreparedVolume], today: date) -> None:
    ident = connection.execute(_id(organisation)).scalar_one()
    kept = StoredVolume.organisation == ident
    newest = connection.execute(select(func.max(StoredVolume.sequence)).where(kept)).scalar_one()
    # Couriers may be reading the last one now, but none before it.
    connection.execute(delete(StoredVolume).where(kept, StoredVolume.sequence != newest))
    connection.execute(update(StoredVolume).where(kept).values(listed=False))
    connection.execute(
        insert(StoredVolume),
        [
            {
                "organisation": ident,
                "sequence": volume.sequence,
                "number": volume.number,
                "day": today,
                "listed": True,
                "size": volume.sealed.size,
                "head": volume.save(),
            }
            for volume in prepared
        ],
    )
