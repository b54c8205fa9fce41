"""Mailboxes, for their sources (docs/protocol.md, 3.1): list, pieces, deleting.

Nobody who may not know it learns whether a mailbox exists: unknown, empty, read and full ones run the same statements
with the same number of values, and are answered with the same number of bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, BindParameter, Connection, Integer, bindparam, delete, func, select, update

from tipbox.formats.base.limits import HASH_SIZE, KIB, MAILBOX_PIECE, MAX_REPLIES
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.mailbox_list import MOST_LISTED, Entry, encode_list, how_many_fit
from tipbox.server.storage.blobs import BlobStore
from tipbox.server.storage.executors import Threads
from tipbox.server.storage.models import HASH, Decoy, DecoyOpening, Ledger, Organisation, Reply, ReplyOpening
from tipbox.server.storage.reply_rows import MOST_OF_ONE
from tipbox.server.storage.transactions import Store

CHUNK: Final = 64 * KIB
"""Bytes of a piece that are in memory at a time, so that slow readers cost little."""
_STIR_BITS: Final = 63
_DECOY_IDS: Final = [number.to_bytes(HASH_SIZE) for number in range(1, MOST_LISTED + 1)]
_MAILBOX: Final = bindparam("mailbox", type_=HASH)
_ID: Final = bindparam("id", type_=HASH)


def _numbered(count: int) -> list[BindParameter[bytes]]:
    return [bindparam(f"id_{number}", type_=HASH) for number in range(count)]


# Fixed statements: each has one text and one number of values, whatever is asked for.
_ENTRIES: Final = (
    select(Reply.entry).where(Reply.mailbox == _MAILBOX).order_by(Reply.day.desc(), Reply.id).limit(MAX_REPLIES)
)
_ORGANISATIONS: Final = select(func.count()).select_from(Organisation)
_DECOYS: Final = select(Decoy.entry).order_by(Decoy.day.desc(), Decoy.id).limit(bindparam("rest", type_=Integer()))
_DECOY_OPENINGS: Final = select(DecoyOpening.id, DecoyOpening.opening).where(
    DecoyOpening.id.in_(_numbered(MOST_LISTED))
)
_OPENINGS: Final = select(ReplyOpening.id, ReplyOpening.opening).where(
    ReplyOpening.mailbox == _MAILBOX, ReplyOpening.id.in_(_numbered(MOST_LISTED))
)
_PIECE: Final = (
    select(Reply.size, Reply.blob, ReplyOpening.opening)
    .outerjoin(ReplyOpening, (ReplyOpening.mailbox == Reply.mailbox) & (ReplyOpening.id == Reply.id))
    .where(Reply.mailbox == _MAILBOX, Reply.id == _ID)
)
_NAMED: Final = select(Reply.blob, Reply.size).where(Reply.mailbox == _MAILBOX, Reply.id.in_(_numbered(MAX_REPLIES)))
_DELETE_OPENINGS: Final = delete(ReplyOpening).where(
    ReplyOpening.mailbox == _MAILBOX, ReplyOpening.id.in_(_numbered(MAX_REPLIES))
)
_DELETE: Final = delete(Reply).where(Reply.mailbox == _MAILBOX, Reply.id.in_(_numbered(MAX_REPLIES)))
_ACCOUNT_WRITERS: Final = update(Organisation).values(
    reply_bytes=Organisation.reply_bytes
    - select(func.coalesce(func.sum(Reply.size), 0))
    .where(
        Reply.mailbox == _MAILBOX,
        Reply.id.in_(_numbered(MAX_REPLIES)),
        Reply.organisation == Organisation.id,
    )
    .scalar_subquery()
)
_ACCOUNT: Final = update(Ledger).values(
    reply_bytes=Ledger.reply_bytes - bindparam("freed", type_=BigInteger()),
    stir=bindparam("random", type_=BigInteger()),
)


@dataclass(frozen=True)
class Mailboxes:
    """The three requests. ``address``: SHA-256 of the mailbox token."""

    store: Store
    blobs: BlobStore
    threads: Threads

    def list(self, address: bytes) -> bytes:
        """``POST /api/mailbox``."""
        return self.store.read(lambda connection: _list(connection, address))

    def piece(self, address: bytes, reply: bytes, number: int) -> Iterator[bytes]:
        """``POST /api/mailbox/piece``: 262,144 bytes, as they are read."""
        row = self.store.read(
            lambda connection: connection.execute(_PIECE, {"mailbox": address, "id": reply}).one_or_none()
        )
        size, blob, opening = row if row is not None else (0, None, None)
        return _padded(self._bytes(number * MAILBOX_PIECE, size, blob, opening or b""))

    def _bytes(self, start: int, size: int, blob: str | None, opening: bytes) -> Iterator[bytes]:
        """The Envelope's bytes from ``start`` on, one piece of them: first the opening's, then the blob's."""
        end = min(size, start + MAILBOX_PIECE)
        if head := opening[start:end]:
            yield head
        for at in range(max(start, len(opening)), end, CHUNK):
            if blob is not None:
                yield self.threads.disk(_read, self.blobs, blob, at - len(opening), min(CHUNK, end - at))

    def delete(self, address: bytes, replies: Sequence[bytes]) -> None:
        """``POST /api/mailbox/delete``: what is named is durably gone on return."""
        ids = _padded_ids(replies, MAX_REPLIES)
        stir = int.from_bytes(random_bytes(8)) >> (64 - _STIR_BITS)
        blobs = self.store.write(lambda connection: _delete(connection, {"mailbox": address, **ids}, stir))
        self.threads.disk(self.blobs.delete_durably, blobs)


def _list(connection: Connection, address: bytes) -> bytes:
    """The list: read with as many decoys as it takes to read what the fullest mailbox has."""
    most = min(MAX_REPLIES, MOST_OF_ONE * connection.execute(_ORGANISATIONS).scalar_one())
    entries = connection.execute(_ENTRIES, {"mailbox": address}).scalars().all()
    count = len(entries)
    decoys = connection.execute(_DECOYS, {"rest": max(0, most - count)}).scalars().all()
    first = [Entry.parse(entry) for entry in (*entries, *decoys)[:MOST_LISTED]]
    fit = how_many_fit(first[:count], count)
    wanted, made_up = [one.id for one in first[:fit]], _DECOY_IDS[fit:]
    found = connection.execute(_OPENINGS, {"mailbox": address, **_padded_ids(wanted, MOST_LISTED)}).all()
    connection.execute(_DECOY_OPENINGS, _padded_ids(made_up, MOST_LISTED)).all()
    openings = {row[0]: row[1] for row in found}
    return encode_list(entries, [openings[one] for one in wanted])


def _delete(connection: Connection, named: dict[str, bytes], stir: int) -> list[str]:
    gone = connection.execute(_NAMED, named).all()
    connection.execute(_ACCOUNT_WRITERS, named)
    connection.execute(_DELETE_OPENINGS, named)
    connection.execute(_DELETE, named)
    connection.execute(_ACCOUNT, {"freed": sum(row[1] for row in gone), "random": stir})
    return [row[0] for row in gone if row[0] is not None]


def _padded_ids(ids: Sequence[bytes], count: int) -> dict[str, bytes]:
    """Values for ``count`` ids: those given, then random ones, which nothing has."""
    rest = random_bytes(HASH_SIZE * (count - len(ids)))
    filled = [*ids, *(rest[at : at + HASH_SIZE] for at in range(0, len(rest), HASH_SIZE))]
    return {f"id_{number}": one for number, one in enumerate(filled)}


def _read(blobs: BlobStore, blob: str, start: int, size: int) -> bytes:
    try:
        return b"".join(blobs.read(blob, start, size))
    except (FileNotFoundError, EOFError):  # deleted meanwhile; one that the disk lost is named by ``check``
        return bytes(size)


def _padded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    left = MAILBOX_PIECE
    for chunk in chunks:
        left -= len(chunk)
        yield chunk
    while left:
        size = min(left, CHUNK)
        left -= size
        yield bytes(size)
