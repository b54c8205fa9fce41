"""Removing blobs that no row names: what a crash left between a durable file and its row, or after a row was gone."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, literal, select

from tipbox.server.storage.blobs import BlobStore, LocalBlobs
from tipbox.server.storage.identity import must_be_ours
from tipbox.server.storage.models import Envelope, Reply, Run
from tipbox.server.storage.transactions import Store

FEW: Final = 10_000
"""Rows and files of each kind that a start looks through."""


def named_blobs(connection: Connection) -> set[str]:
    """Every blob that a row names."""
    runs = connection.execute(select(Run.blob).distinct()).scalars()
    bodies = connection.execute(select(Envelope.blob).where(Envelope.blob.is_not(None))).scalars()
    replies = connection.execute(select(Reply.blob).where(Reply.blob.is_not(None))).scalars()
    return {*runs, *(blob for blobs in (bodies, replies) for blob in blobs if blob is not None)}


def sweep(store: Store, blobs: BlobStore) -> int:
    """Remove what no row names; how many. Safe beside a running server: a file on its way in is locked.

    Raises:
        InputRefused: the store is not the one that the database knows; what lies there may be another's.
    """
    store.read(lambda connection: must_be_ours(connection, blobs))
    return blobs.sweep(lambda: store.read(named_blobs))


def sweep_if_few(store: Store, blobs: BlobStore) -> int:
    """``sweep`` at a start, which must not wait for longer the more lies here: else it is left to the next prune."""
    if not isinstance(blobs, LocalBlobs) or blobs.has_more_than(FEW) or store.read(_has_many_rows):
        return 0
    return sweep(store, blobs)


def _has_many_rows(connection: Connection) -> bool:
    one = literal(1)
    return any(
        connection.execute(select(one).select_from(table).offset(FEW).limit(1)).first() is not None
        for table in (Envelope, Reply, Run)
    )
