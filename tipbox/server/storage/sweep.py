"""Removing blobs that no row names: what was let go of, and what a crash left between a durable blob and its row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from sqlalchemy import Connection, delete, literal, select, update

from tipbox.errors import NetworkFailed
from tipbox.server.storage.blobs import NAME, BlobStore, LocalBlobs
from tipbox.server.storage.identity import must_be_ours
from tipbox.server.storage.models import Envelope, Gone, Reply, Run, Server
from tipbox.server.storage.transactions import Store

FEW: Final = 10_000
"""Rows and files of each kind that a start looks through."""
SWEEP_DAYS: Final = 7
"""Days seen after which a bucket is looked through again."""
_BATCH: Final = 1000


def which_are_named(connection: Connection, blobs: Sequence[str]) -> set[str]:
    """Which of these a row names."""
    columns = (Run.blob, Envelope.blob, Reply.blob)
    found: set[str | None] = set()
    for at in range(0, len(blobs), _BATCH):
        batch = blobs[at : at + _BATCH]
        for column in columns:
            found.update(connection.execute(select(column).where(column.in_(batch))).scalars())
    return {blob for blob in found if blob is not None}


def release(blobs: BlobStore, names: Sequence[str]) -> None:
    """Remove blobs that were let go of, now: what cannot be reached is removed by the next prune."""
    with suppress(NetworkFailed):
        blobs.delete(names)


def sweep(store: Store, blobs: BlobStore) -> int:
    """Remove what no row names; how many. Safe beside a running server: a file on its way in is locked.

    Raises:
        InputRefused: the store is not the one that the database knows; what lies there may be another's.
    """
    store.read(lambda connection: must_be_ours(connection, blobs))
    return blobs.sweep(partial(_named, store))


def remove_gone(store: Store, blobs: BlobStore) -> int:
    """Remove the blobs that were let go of and are noted; how many.

    Raises:
        InputRefused: the store is not the one that the database knows.
        NetworkFailed: it does not answer; they stay noted.
    """
    store.read(lambda connection: must_be_ours(connection, blobs))
    count = 0
    while names := store.read(_some_gone):
        # Whatever a row says: the label of the store is no blob.
        blobs.delete([name for name in names if NAME.fullmatch(name)])
        # Once they are removed: after a crash in between, they are removed again.
        store.write(partial(_forget, names=names))
        count += len(names)
    return count


def sweep_bucket(store: Store, blobs: BlobStore, day: int) -> int | None:
    """``sweep`` of a bucket, a page at a time, once in SWEEP_DAYS; how many went, None when it is not due.

    Args:
        store: the database, which keeps how far it came: what was cut off goes on there.
        blobs: the bucket.
        day: today, as the number of days seen.
    """
    swept, after = store.read(lambda connection: connection.execute(select(Server.swept, Server.sweep_after)).one())
    if after is None and swept is not None and day - swept < SWEEP_DAYS:
        return None
    store.read(lambda connection: must_be_ours(connection, blobs))
    count = blobs.sweep(partial(_named, store), after or "", lambda last: store.write(partial(_note, after=last)))
    store.write(partial(_note, after=None, swept=day))
    return count


def sweep_if_few(store: Store, blobs: BlobStore) -> int:
    """``sweep`` at a start, which must not wait for longer the more lies here: else it is left to the next prune."""
    if not isinstance(blobs, LocalBlobs) or blobs.has_more_than(FEW) or store.read(_has_many_rows):
        return 0
    return sweep(store, blobs)


def _named(store: Store, names: Sequence[str]) -> Collection[str]:
    return store.read(lambda connection: which_are_named(connection, names))


def _some_gone(connection: Connection) -> list[str]:
    return list(connection.execute(select(Gone.blob).limit(_BATCH)).scalars())


def _forget(connection: Connection, names: Sequence[str]) -> None:
    connection.execute(delete(Gone).where(Gone.blob.in_(names)))


def _note(connection: Connection, after: str | None, swept: int | None = None) -> None:
    connection.execute(update(Server).values(sweep_after=after))
    if swept is not None:
        connection.execute(update(Server).values(swept=swept))


def _has_many_rows(connection: Connection) -> bool:
    one = literal(1)
    return any(
        connection.execute(select(one).select_from(table).offset(FEW).limit(1)).first() is not None
        for table in (Envelope, Reply, Run)
    )
