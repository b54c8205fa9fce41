"""Pruning: what has been kept for as long as was announced goes. Days are those that the server itself has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, select

from tipbox.server.storage import clock, envelope_rows, reply_rows
from tipbox.server.storage.clock import Clock
from tipbox.server.storage.models import DayCount, Deposit, Draft, FinishedToken
from tipbox.server.storage.open_server import OpenServer, open_server
from tipbox.server.storage.sweep import release, remove_gone, sweep, sweep_bucket
from tipbox.server.storage.transactions import Deletion
from tipbox.server.upkeep import upkeep_lock
from tipbox.server.upkeep.hosts import still_here
from tipbox.server.upkeep.unfinished import abort_unfinished
from tipbox.server.uploads import drafts
from tipbox.server.uploads.drafts import FINISHED_DAYS

COUNTED_DAYS: Final = 7
"""Days for which it is kept how much a day took in."""
_BATCH: Final = 200


@dataclass(frozen=True)
class PruneResult:
    """What went. ``held``: nothing that ages went, because the clock jumped and waits for the operator."""

    held: bool
    envelopes: int = 0
    drafts: int = 0
    finished: int = 0
    orphans: int = 0
    replies: int = 0


def prune_server(home: Path, *, confirm_clock: bool = False, today: date | None = None) -> PruneResult:
    """Remove Envelopes, drafts, replies and records whose days have passed, and blobs that nothing names.

    Args:
        home: the server's folder; the server may be running.
        confirm_clock: the operator says that the clock is right after a jump of more than two days.
        today: the day, UTC.
    """
    with open_server(home) as server:
        return prune_open_server(server, confirm_clock=confirm_clock, today=today or server.today())


def prune_open_server(server: OpenServer, *, confirm_clock: bool, today: date) -> PruneResult:
    """``prune_server`` on a server that is open."""
    note = clock.confirm if confirm_clock else clock.tick
    now = server.store.write(lambda connection: note(connection, today))
    if now.held:
        return PruneResult(held=True, orphans=_tidy(server, now))
    retention = server.config.retention
    envelopes = _expire_envelopes(server, now.days_seen - retention.days)
    expired_drafts = _expire_drafts(server, now.days_seen - retention.draft_days)
    replies = _expire_replies(server, now.days_seen - retention.reply_days)
    finished = server.store.write(lambda connection: _expire_records(connection, now))
    return PruneResult(False, envelopes, expired_drafts, finished, _tidy(server, now), replies)


def _tidy(server: OpenServer, now: Clock) -> int:
    """Remove blobs that no row names; how many were found by looking. Of several hosts one does it at a time."""
    if server.blobs.local:
        return sweep(server.store, server.blobs)
    with upkeep_lock.tidying(server):
        remove_gone(server.store, server.blobs)
        found = sweep_bucket(server.store, server.blobs, now.days_seen)
        if found is not None:
            abort_unfinished(server.config.blobs)
    return found or 0


def _expire_envelopes(server: OpenServer, last: int) -> int:
    return _expire(server, lambda connection: envelope_rows.delete_old(connection, last, _BATCH))


def _expire_replies(server: OpenServer, last: int) -> int:
    count = _expire(server, lambda connection: reply_rows.delete_old(connection, last, _BATCH))
    server.store.write(lambda connection: connection.execute(delete(Deposit).where(Deposit.seen_day <= last)))
    return count


def _expire(server: OpenServer, delete_some: Callable[[Connection], Deletion]) -> int:
    """Delete in batches, so that uploads are never kept waiting for long; how many went."""
    count = 0
    while (deletion := server.store.write(delete_some)).count:
        release(server.blobs, deletion.blobs)
        count += deletion.count
    return count


def _expire_drafts(server: OpenServer, last: int) -> int:
    tokens = server.store.read(
        lambda connection: connection.execute(select(Draft.token).where(Draft.seen_day <= last)).scalars().all()
    )
    for token in tokens:
        release(server.blobs, server.store.write(partial(drafts.delete_draft, token=token), erases=True))
    return len(tokens)


def _expire_records(connection: Connection, now: Clock) -> int:
    still_here(connection, now.days_seen)
    connection.execute(delete(DayCount).where(DayCount.day < now.today - timedelta(days=COUNTED_DAYS)))
    return connection.execute(
        delete(FinishedToken).where(FinishedToken.seen_day <= now.days_seen - FINISHED_DAYS)
    ).rowcount
