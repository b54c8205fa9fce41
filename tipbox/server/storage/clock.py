"""The server's clock: days that it has itself seen. A jump of more than two days stops pruning until confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection, select, update

from tipbox.server.storage.models import Ledger

LARGEST_JUMP: Final = 2
"""Days. A server that was off for a day goes on by itself; one whose clock went wrong expires nothing."""
_READ: Final = select(Ledger.last_day, Ledger.days_seen, Ledger.held)


@dataclass(frozen=True)
class Clock:
    """The day, how many days were seen before it, and whether the clock waits for the operator."""

    today: date
    days_seen: int
    held: bool


def tick(connection: Connection, today: date) -> Clock:
    """Note that this day has come. A day counts once; a clock that jumped, ahead or back, is held."""
    last, seen, held = connection.execute(_READ).one()
    # Nearly every call: nothing is written.
    if today == last:
        return Clock(today, seen, held)
    step = (today - last).days
    seen += step > 0
    held = held or abs(step) > LARGEST_JUMP
    # A small step back is not written: the days until the last one seen must not count again.
    if step > 0 or held:
        connection.execute(update(Ledger).values(last_day=today, days_seen=seen, held=held))
    return Clock(today, seen, held)


def begin(connection: Connection, today: date, days_seen: int) -> None:
    """Start the clock of a restored server, as if it had seen ``days_seen`` days."""
    connection.execute(update(Ledger).values(last_day=today, days_seen=days_seen, held=False))


def confirm(connection: Connection, today: date) -> Clock:
    """The operator says that the clock is right."""
    clock = tick(connection, today)
    connection.execute(update(Ledger).values(last_day=today, held=False))
    return Clock(today, clock.days_seen, held=False)
