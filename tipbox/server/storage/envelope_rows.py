"""The rows of stored Envelopes, and the sum of their bodies in the ledger. Nothing else writes either.

Quotas are decided by the sum, because adding up the rows in every upload would cost more than the upload. So each
function here changes rows and sum in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, bindparam, delete, exists, insert, select, update

from tipbox.formats.base import padding
from tipbox.formats.envelopes.header import Header
from tipbox.formats.envelopes.seals import End
from tipbox.server.storage.models import HASH, Envelope, Ledger, Slot, StoredVolume
from tipbox.server.storage.transactions import Deletion, let_go

# Statements that every upload runs, built once: building one costs more than running it.
_FIND_ENVELOPE: Final = select(Envelope.id).where(Envelope.id == bindparam("envelope", type_=HASH))
_INSERT_ENVELOPE: Final = insert(Envelope)
_INSERT_SLOTS: Final = insert(Slot)
_KEEP_STAMP: Final = (
    update(Envelope).where(Envelope.id == bindparam("envelope", type_=HASH)).values(stamp=bindparam("made"))
)
_WITHDRAW: Final = update(StoredVolume).values(listed=False)
_COUNT_BODIES: Final = update(Ledger).values(body_bytes=Ledger.body_bytes + bindparam("size", type_=BigInteger()))


@dataclass(frozen=True)
class EnvelopeRow:
    """An Envelope to store.

    Attributes:
        end: its hash, trailer and id.
        day: the day on which it came, UTC.
        seen_day: the same as a number of days that the server has seen.
        header: its header, with the slots.
        letter: the sealed letter.
        blob: where its sealed parts are; None without a body.
        acknowledged: ids of organisations that have carried it already, as a backup says.
        effort: the class of what was paid for it.
    """

    end: End = field(repr=False)
    day: date
    seen_day: int
    header: Header
    letter: bytes = field(repr=False)
    blob: str | None
    acknowledged: frozenset[bytes] = frozenset()
    effort: int = 0


@dataclass(frozen=True)
class Marking:
    """What an acknowledgement changed: how many slots it marked, and the Envelopes that went because of it."""

    slots: int
    deletion: Deletion


def is_new(connection: Connection, envelope: bytes) -> bool:
    """Whether no Envelope with this id is stored."""
    return connection.execute(_FIND_ENVELOPE, {"envelope": envelope}).one_or_none() is None


def known(connection: Connection, envelopes: Collection[bytes]) -> set[bytes]:
    """Which of these ids are stored."""
    if len(envelopes) == 1:
        return {envelope for envelope in envelopes if not is_new(connection, envelope)}
    return set(connection.execute(select(Envelope.id).where(Envelope.id.in_(envelopes))).scalars())


def store(connection: Connection, *rows: EnvelopeRow) -> None:
    """Insert Envelopes that are new, and their slots."""
    # One alone costs less than a list of one.
    connection.execute(_INSERT_ENVELOPE, _values(rows[0]) if len(rows) == 1 else [_values(row) for row in rows])
    connection.execute(
        _INSERT_SLOTS,
        [
            {
                "envelope": row.end.id,
                "organisation": slot.organisation,
                "acknowledged": slot.organisation in row.acknowledged,
            }
            for row in rows
            for slot in row.header.slots
        ],
    )
    _count(connection, sum(padding.sealed_body_size(row.header.body_size) for row in rows))


def _values(row: EnvelopeRow) -> dict[str, Any]:
    header = row.header
    return {
        "id": row.end.id,
        "hash": row.end.hash,
        "trailer": row.end.trailer,
        "effort": row.effort,
        "day": row.day,
        "seen_day": row.seen_day,
        "body_size": header.body_size,
        "blob": row.blob,
        "header": header.encoded,
        "letter": row.letter,
    }


def acknowledge(connection: Connection, organisation: bytes, envelopes: Sequence[bytes]) -> Marking:
    """Mark an organisation's slots, and delete the Envelopes that all of their organisations have acknowledged.

    Its present export is withdrawn: the next one is without them.
    """
    marked = connection.execute(
        update(Slot)
        .where(Slot.envelope.in_(envelopes), Slot.organisation == organisation, Slot.acknowledged.is_(False))
        .values(acknowledged=True)
    ).rowcount
    if marked:
        connection.execute(_WITHDRAW.where(StoredVolume.organisation == organisation))
    # In the same transaction as the marks: two couriers at once cannot each leave it to the other.
    open_slot = exists().where(Slot.envelope == Envelope.id, Slot.acknowledged.is_(False))
    done = connection.execute(select(Envelope.id).where(Envelope.id.in_(envelopes), ~open_slot)).scalars().all()
    return Marking(marked, _delete(connection, done))


def keep_stamps(connection: Connection, stamps: Mapping[bytes, bytes]) -> None:
    """Keep the server's stamps (64 bytes) on these Envelopes, by id."""
    connection.execute(_KEEP_STAMP, [{"envelope": ident, "made": made} for ident, made in stamps.items()])


def delete_old(connection: Connection, last: int, most: int) -> Deletion:
    """Delete up to ``most`` Envelopes that came on the ``last`` day seen or before.

    All present exports are withdrawn: any may hold one of them.
    """
    old = connection.execute(select(Envelope.id).where(Envelope.seen_day <= last).limit(most)).scalars().all()
    if old:
        connection.execute(_WITHDRAW)
    return _delete(connection, old)


def delete_all(connection: Connection) -> None:
    """Delete every Envelope; the blobs are left to ``sweep``."""
    connection.execute(delete(Slot))
    connection.execute(delete(Envelope))
    connection.execute(update(Ledger).values(body_bytes=0))


def _delete(connection: Connection, envelopes: Sequence[bytes]) -> Deletion:
    blobs = []
    for envelope in envelopes:
        blob, body_size = connection.execute(
            select(Envelope.blob, Envelope.body_size).where(Envelope.id == envelope)
        ).one()
        connection.execute(delete(Slot).where(Slot.envelope == envelope))
        connection.execute(delete(Envelope).where(Envelope.id == envelope))
        if blob is not None:
            blobs.append(blob)
        _count(connection, -padding.sealed_body_size(body_size))
    let_go(connection, blobs)
    return Deletion(len(envelopes), blobs)


def _count(connection: Connection, size: int) -> None:
    if size:  # most Envelopes have no body, and then nothing is to be written
        connection.execute(_COUNT_BODIES, {"size": size})
