"""Room for texts: when bodies have come into the part of the disk that they leave to texts, stalled drafts give way."""

from __future__ import annotations

from datetime import date
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, select

from tipbox.server.config import Quota
from tipbox.server.storage.clock import tick
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.models import Draft
from tipbox.server.uploads import drafts

_STALLED: Final = (Draft.received * 16 < Draft.body_size, func.length(Draft.missing) == 0)
"""They stand still; or nothing of them is missing, and nobody has made the one request that finishes them."""
_SLOW: Final = (Draft.received * 4 < Draft.body_size, Draft.received * 2 < Draft.body_size)
"""Those that came least far."""
_MOST: Final = 64
"""Drafts that give way to one text."""


def is_short(disk: Disk, quota: Quota) -> bool:
    """Whether less is free than bodies leave to texts."""
    return disk.holds_bodies and disk.free < disk.reserve(quota)


def give_way(connection: Connection, disk: Disk, quota: Quota, today: date, length: int) -> list[str]:
    """Give up drafts of earlier days until a text of ``length`` bytes has room; the blobs to delete once committed.

    Below half of the reserve also those that came least far. Drafts of today stay, and so do all while the clock is in
    doubt: then nothing counts as of an earlier day.
    """
    clock = tick(connection, today)
    if clock.held:
        return []
    blobs: list[str] = []
    freed = 0
    # Above the floor, and twice: it is in the database's log as well.
    needed = max(0, disk.floor - disk.free) + 2 * length
    for which in (*_STALLED, *(_SLOW if disk.free < disk.reserve(quota) // 2 else ())):
        for token, received in _candidates(connection, Draft.seen_day < clock.days_seen, which):
            if freed >= needed:
                return blobs
            blobs += drafts.delete_draft(connection, token)
            freed += received
    return blobs


def _candidates(connection: Connection, *which: ColumnElement[bool]) -> list[tuple[bytes, int]]:
    """Token and bytes of the drafts that hold most; what holds nothing would free nothing."""
    found = select(Draft.token, Draft.received).where(Draft.received > 0, *which).order_by(Draft.received.desc())
    return [(token, received) for token, received in connection.execute(found.limit(_MOST))]
