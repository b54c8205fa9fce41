"""The server's clock: days that it has itself seen. A jump of more than two days stops pruning until confirmed.

PostgreSQL is shared by hosts, so the day is the one that it has: a host whose own clock is wrong cannot make the others
believe in a jump.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from time import monotonic
from typing import Final

from sqlalchemy import Connection, func, select, update

from tipbox.errors import InputRefused
from tipbox.formats.base import days
from tipbox.server.storage.models import Ledger
from tipbox.server.storage.transactions import Store

LARGEST_JUMP: Final = 2
"""Days. A server that was off for a day goes on by itself; one whose clock went wrong expires nothing."""
LARGEST_DIFFERENCE: Final = timedelta(minutes=10)
"""Between the clock of a host and that of PostgreSQL."""
_ASK_AGAIN: Final = 60.0
"""Seconds for which a worker goes on from the time that PostgreSQL told it."""
_READ: Final = select(Ledger.last_day, Ledger.days_seen, Ledger.held)


@dataclass(frozen=True)
class Clock:
    """The day, how many days were seen before it, and whether the clock waits for the operator."""

    today: date
    days_seen: int
    held: bool


class Calendar:
    """Which day it is, UTC: by PostgreSQL's clock, or this machine's when the database is SQLite."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked = -_ASK_AGAIN
        self._wall = 0.0
        self._told: datetime | None = None

    def __call__(self) -> date:
        """Today."""
        if not _is_shared(self._store):
            return days.today()
        # Also by the wall clock: a host that sleeps, or is moved, does not count that by the other one.
        passed = max(monotonic() - self._asked, abs(time.time() - self._wall))
        if self._told is None or passed >= _ASK_AGAIN:
            self._told = self._store.read(_now)
            # After the answer: midnight may come late by the time that took, and never early.
            self._asked, self._wall = monotonic(), time.time()
        return (self._told + timedelta(seconds=monotonic() - self._asked)).date()


def must_agree(store: Store) -> None:
    """InputRefused when this host's clock is not PostgreSQL's: one of the two is wrong, and nothing must go by it."""
    if not _is_shared(store):
        return
    told, own = store.read(_now), datetime.now(UTC).replace(tzinfo=None)
    if abs(told - own) > LARGEST_DIFFERENCE:
        raise InputRefused(
            f"comparing clocks: this host says {own:%Y-%m-%d %H:%M}, PostgreSQL says {told:%Y-%m-%d %H:%M} (UTC); "
            "set the one right that is wrong, and start again"
        )


def _is_shared(store: Store) -> bool:
    """Whether hosts may share the database; SQLite has the clock of its machine."""
    return store.engine.dialect.name == "postgresql"


def _now(connection: Connection) -> datetime:
    """The time in UTC that PostgreSQL has."""
    told: datetime = connection.execute(select(func.timezone("UTC", func.clock_timestamp()))).scalar_one()
    return told


def look(connection: Connection, today: date) -> Clock:
    """The clock as ``tick`` sets it on this day, when nothing is to be written."""
    return _step(connection, today)[0]


def tick(connection: Connection, today: date) -> Clock:
    """Note that this day has come. A day counts once; a clock that jumped, ahead or back, is held."""
    clock, step = _step(connection, today)
    # Nearly every call: nothing is written. Nor is a small step back: the days until the last one seen must not count
    # again.
    if step > 0 or (step and clock.held):
        connection.execute(update(Ledger).values(last_day=today, days_seen=clock.days_seen, held=clock.held))
    return clock


def _step(connection: Connection, today: date) -> tuple[Clock, int]:
    """The clock on this day, and the days since the last one that was noted."""
    last, seen, held = connection.execute(_READ).one()
    step = (today - last).days
    return Clock(today, seen + (step > 0), held or abs(step) > LARGEST_JUMP), step


def begin(connection: Connection, today: date, days_seen: int) -> None:
    """Start the clock of a restored server, as if it had seen ``days_seen`` days."""
    connection.execute(update(Ledger).values(last_day=today, days_seen=days_seen, held=False))


def confirm(connection: Connection, today: date) -> Clock:
    """The operator says that the clock is right."""
    clock = tick(connection, today)
    connection.execute(update(Ledger).values(last_day=today, held=False))
    return Clock(today, clock.days_seen, held=False)
