"""Removing blobs that no row names: what a crash left between a durable file and its row, or after a row was gone."""

from __future__ import annotations

from sqlalchemy import Connection, select

from tipbox.server.storage.blobs import BlobStore
from tipbox.server.storage.identity import must_be_ours
from tipbox.server.storage.models import Envelope, Reply, Run
from tipbox.server.storage.transactions import Store


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
