"""The rows of stored Envelopes, and what the ledger counts of their bodies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from tipbox.formats.base import padding
from tipbox.formats.envelopes.header import Header
from tipbox.server.storage.clock import Clock
from tipbox.server.storage.models import HASH, Envelope, Ledger, Slot

_FIND_ENVELOPE: Final = select(Envelope.id).where(Envelope.id == bindparam("envelope", type_=HASH))
_INSERT_ENVELOPE: Final = insert(Envelope)
_INSERT_SLOTS: Final = insert(Slot)


def is_new(connection: Connection, envelope: bytes) -> bool:
    """Whether no Envelope with this id is stored."""
    return connection.execute(_FIND_ENVELOPE, {"envelope": envelope}).one_or_none() is None


def store(
    connection: Connection, envelope: bytes, sealed: tuple[Header, bytes], blob: str | None, clock: Clock
) -> None:
    """Insert the rows of a new Envelope, ``sealed``: its header and letter, and count its body."""
    header, letter = sealed
    connection.execute(
        _INSERT_ENVELOPE,
        {
            "id": envelope,
            "day": clock.today,
            "seen_day": clock.days_seen,
            "body_size": header.body_size,
            "blob": blob,
            "header": header.encoded,
            "letter": letter,
        },
    )
    connection.execute(
        _INSERT_SLOTS,
        [{"envelope": envelope, "organisation": slot.organisation, "acknowledged": False} for slot in header.slots],
    )
    size = padding.sealed_size(header.body_size)
    if size:
        connection.execute(update(Ledger).values(body_bytes=Ledger.body_bytes + size))


def delete_envelopes(connection: Connection, envelopes: Iterable[bytes]) -> list[str]:
    """Remove Envelopes' rows and what the ledger counts of them; the blobs to delete once this is committed."""
    blobs = []
    for envelope in envelopes:
        blob, body_size = connection.execute(
            select(Envelope.blob, Envelope.body_size).where(Envelope.id == envelope)
        ).one()
        connection.execute(delete(Slot).where(Slot.envelope == envelope))
        connection.execute(delete(Envelope).where(Envelope.id == envelope))
        if blob is not None:
            blobs.append(blob)
            connection.execute(update(Ledger).values(body_bytes=Ledger.body_bytes - padding.sealed_size(body_size)))
    return blobs
