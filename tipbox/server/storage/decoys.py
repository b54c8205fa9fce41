"""The decoys: rows of no mailbox, read so that listing a mailbox costs the same whatever is in it (``mailbox.py``).

The migration makes them. A restore by an earlier version removed them with all other rows, and a server without them
answers sooner for an unknown mailbox than for a full one: so they are made again at the start.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from sqlalchemy import Connection, Engine, insert, select

from tipbox.formats.base.limits import HASH_SIZE, MAX_REPLIES, MIB
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.mailbox_list import MOST_LISTED, SMALLEST_OPENING, Entry
from tipbox.server.storage.models import Decoy, DecoyOpening

_DAY: Final = date(2026, 1, 1)
"""Of every decoy, the same in each release: a row that is made again tells nothing of when."""

_TRIAL: Final = MIB
"""Bytes that the database must have room for."""


def decoy_ids(count: int) -> list[bytes]:
    """The ids of the first ``count`` decoys."""
    return [number.to_bytes(HASH_SIZE) for number in range(1, count + 1)]


def refill(connection: Connection) -> int:
    """Insert the decoys that are missing; how many were."""
    entries = _missing(decoy_ids(MAX_REPLIES), connection.execute(select(Decoy.id)).scalars())
    openings = _missing(decoy_ids(MOST_LISTED), connection.execute(select(DecoyOpening.id)).scalars())
    if entries:
        lines = [Entry(entry_id, _DAY, SMALLEST_OPENING, SMALLEST_OPENING) for entry_id in entries]
        connection.execute(insert(Decoy), [{"id": line.id, "day": line.day, "entry": line.encode()} for line in lines])
    if openings:
        connection.execute(
            insert(DecoyOpening),
            [{"id": opening_id, "opening": random_bytes(SMALLEST_OPENING)} for opening_id in openings],
        )
    return len(entries) + len(openings)


def try_to_write(engine: Engine) -> None:
    """Write a row and take it back: a standby and a full disk answer every question all the same.

    Raises:
        DBAPIError: the database takes no writes.
    """
    with engine.connect() as connection:
        try:
            connection.execute(insert(DecoyOpening).values(id=random_bytes(HASH_SIZE), opening=random_bytes(_TRIAL)))
        finally:
            connection.rollback()


def _missing(expected: Iterable[bytes], there: Iterable[bytes]) -> list[bytes]:
    known = set(there)
    return [entry_id for entry_id in expected if entry_id not in known]
