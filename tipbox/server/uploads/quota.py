"""How much lies here at a time, decided in the transaction that takes more in. How fast it comes is in buckets.py.

A text always finds room: bodies leave part of the disk free and are capped at what couriers can carry, of which one
takes at most a quarter of what is left. What is stored is never touched by any of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    Integer,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from tipbox.formats.base import padding
from tipbox.server.config import LONG_LETTER, Quota
from tipbox.server.refusal import Refusal
from tipbox.server.storage.clock import Clock
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.models import DayCount, Draft, Ledger, Run
from tipbox.server.storage.transactions import let_go

LARGEST_SHARE: Final = 4
"""One body takes at most one in this many of the bytes that couriers can still carry."""
_COUNT: Final = (
    update(DayCount)
    .where(DayCount.day == bindparam("today", type_=Date()))
    .values(
        letters=DayCount.letters + bindparam("count", type_=Integer()),
        body_bytes=DayCount.body_bytes + bindparam("size", type_=BigInteger()),
        long_letter_bytes=DayCount.long_letter_bytes + bindparam("long", type_=BigInteger()),
    )
)
_SHARES: Final = (4, 2)
"""Then drafts with less than a quarter of their bytes, then with less than half."""
_STALLED_SHARE: Final = 16
"""Drafts of an earlier day with less than one in this many of their bytes stand still."""


def admit(
    connection: Connection, quota: Quota, disk: Disk, clock: Clock, body_size: int, *, letter_size: int = 0
) -> list[str]:
    """Count one more Envelope, and reserve its body; Refusal ``full`` when there is no room for it.

    Args:
        connection: the transaction that stores it.
        quota: the configured bounds.
        disk: as it is now.
        clock: of this transaction.
        body_size: plaintext bytes of the padded body; 0 without one.
        letter_size: plaintext bytes of the padded letter.

    Returns:
        The blobs of drafts that gave way to it, to delete once this is committed.
    """
    must_be_above_floor(disk)
    size = padding.sealed_body_size(body_size)
    gone = _admit_body(connection, quota, disk, clock, size) if size else []
    count_in_day(connection, clock, [letter_size], size)
    return gone


def must_be_above_floor(disk: Disk) -> None:
    """Refusal ``full`` when the disk has no room for anything: all that ``admit`` asks of a text."""
    if disk.free < disk.floor:
        raise Refusal("full")


def count_in_day(connection: Connection, clock: Clock, letter_sizes: Sequence[int], size: int = 0) -> None:
    """Count Envelopes of today by the sizes of their letters; ``size``: bytes of all their bodies."""
    long = sum(letter_size for letter_size in letter_sizes if letter_size > LONG_LETTER)
    letters = len(letter_sizes)
    if not connection.execute(_COUNT, {"today": clock.today, "count": letters, "size": size, "long": long}).rowcount:
        row = {"day": clock.today, "letters": letters, "body_bytes": size, "long_letter_bytes": long}
        connection.execute(insert(DayCount), row)


@dataclass(frozen=True)
class Drafts:
    """How many drafts there are, the bytes that they have announced, and those that have come."""

    count: int
    announced: int
    received: int

    def leave(self, quota: Quota, size: int) -> bool:
        """Whether one more of ``size`` bytes has room among them."""
        return self.count < quota.drafts and self.announced + size <= quota.draft_bytes


@dataclass(frozen=True)
class Holdings:
    """What lies here: all drafts, those that give way to no other, and the bytes of stored bodies."""

    drafts: Drafts
    lasting: Drafts
    stored: int


def holdings(connection: Connection, clock: Clock) -> Holdings:
    """What lies here, looked at and left as it is."""
    drafts = _drafts(connection)
    moves = and_(Draft.received * _SHARES[-1] >= Draft.body_size, func.length(Draft.missing) > 0)
    lasting = drafts if clock.held else _drafts(connection, or_(Draft.seen_day >= clock.days_seen, moves))
    return Holdings(drafts, lasting, _stored(connection))


def must_fit(quota: Quota, disk: Disk, held: Holdings, body_size: int) -> None:
    """Refusal ``full`` when ``admit`` would refuse it, whatever gave way: nobody shall work for that."""
    must_be_above_floor(disk)
    if size := padding.sealed_body_size(body_size):
        drafts = held.drafts if held.drafts.leave(quota, size) else held.lasting
        _must_fit(quota, disk, drafts, held.stored, size)


def _must_fit(quota: Quota, disk: Disk, drafts: Drafts, stored: int, size: int) -> None:
    if not drafts.leave(quota, size):
        raise Refusal("full")
    # A share of what is left, which is never nothing: small files find room after many large ones.
    if size > (quota.carry_capacity - stored - drafts.announced) // LARGEST_SHARE:
        raise Refusal("full")
    # Finishing merges runs into one blob beside them: until then a body may take its size twice.
    expected = 2 * (drafts.announced + size) - drafts.received
    if disk.holds_bodies and disk.free - expected < disk.reserve(quota):
        raise Refusal("full")


def _drafts(connection: Connection, *which: ColumnElement[bool]) -> Drafts:
    count, announced, received = connection.execute(
        select(func.count(), func.coalesce(func.sum(Draft.body_size), 0), func.coalesce(func.sum(Draft.received), 0))
        .select_from(Draft)
        .where(*which)
    ).one()
    return Drafts(count, int(announced), int(received))


def _stored(connection: Connection) -> int:
    stored: int = connection.execute(select(Ledger.body_bytes)).scalar_one()
    return stored


def _give_up(connection: Connection, clock: Clock, quota: Quota, size: int) -> list[str]:
    """Give up drafts of earlier days until one more of ``size`` bytes finds room; the blobs of their runs.

    First those that stand still; then those of which nothing is missing, for to finish takes one request and nobody has
    made it since; then those that came least far. So holding room for more than a day costs as many bytes.
    """
    # While the clock is in doubt, nothing counts as of an earlier day.
    blobs: list[str] = []
    if clock.held:
        return blobs
    earlier = Draft.seen_day < clock.days_seen
    for which in (
        Draft.received * _STALLED_SHARE < Draft.body_size,
        func.length(Draft.missing) == 0,
        *(Draft.received * share < Draft.body_size for share in _SHARES),
    ):
        if _drafts(connection).leave(quota, size):
            return blobs
        given_up = select(Draft.token).where(earlier, which)
        gone = list(connection.execute(select(Run.blob).where(Run.draft.in_(given_up)).distinct()).scalars())
        let_go(connection, gone)
        blobs += gone
        # Letters and runs go with them (ON DELETE CASCADE).
        connection.execute(delete(Draft).where(earlier, which))
    return blobs


def _admit_body(connection: Connection, quota: Quota, disk: Disk, clock: Clock, size: int) -> list[str]:
    gone: list[str] = []
    drafts = _drafts(connection)
    if not drafts.leave(quota, size):
        gone = _give_up(connection, clock, quota, size)
        drafts = _drafts(connection)
    _must_fit(quota, disk, drafts, _stored(connection), size)
    return gone
