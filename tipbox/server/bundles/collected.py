"""Up to which day each organisation has collected everything: one line on the start page, the same for everybody.

It is written when an acknowledgement is taken, at most the day before, and never goes back: it tells a source whose
tip is old enough that it was carried, and nobody anything about one tip.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from time import monotonic

from sqlalchemy import func, or_, select, update

from tipbox.server.storage.clock import Clock
from tipbox.server.storage.models import Envelope, Organisation, Slot
from tipbox.server.storage.organisations import LOOK_AGAIN
from tipbox.server.storage.transactions import Store

MOST = 50_000
"""Envelopes that still wait, which a delivery looks at; where there are more, the day is left to a later delivery."""
_DAY = timedelta(days=1)


def note_collected(store: Store, organisation: bytes, clock: Clock) -> None:
    """Note the last day for which everything with a slot of ``organisation`` is acknowledged."""
    # A wrong day would tell sources that tips were collected which were not.
    if clock.held:
        return
    waiting = (
        select(Envelope.day)
        .join(Slot, Slot.envelope == Envelope.id)
        .where(Slot.organisation == organisation, Slot.acknowledged.is_(False))
        .limit(MOST + 1)
        .subquery()
    )
    # Before the transaction: for what comes in between, today is not over.
    count, oldest = store.read(
        lambda connection: connection.execute(select(func.count(), func.min(waiting.c.day))).one()
    )
    if count > MOST:
        return
    day = min(clock.today, oldest or clock.today) - _DAY
    note = (
        update(Organisation)
        .where(Organisation.id == organisation, or_(Organisation.collected.is_(None), Organisation.collected < day))
        .values(collected=day)
    )
    store.write(lambda connection: connection.execute(note))


class CollectedDays:
    """The days, by organisation id, and who has replies here; read again every second at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked = -LOOK_AGAIN
        self._days: Mapping[bytes, date] = {}
        self._writers: frozenset[bytes] = frozenset()

    def days(self) -> Mapping[bytes, date]:
        """Organisations that have collected something, each with its day."""
        self._look()
        return self._days

    def writers(self) -> frozenset[bytes]:
        """Ids of organisations that have replies here."""
        self._look()
        return self._writers

    def _look(self) -> None:
        if monotonic() - self._looked < LOOK_AGAIN:
            return
        columns = select(Organisation.id, Organisation.collected, Organisation.reply_bytes)
        rows = self._store.read(lambda connection: connection.execute(columns).all())
        self._days = {row[0]: row[1] for row in rows if row[1] is not None}
        self._writers = frozenset(row[0] for row in rows if row[2])
        self._looked = monotonic()
