"""Mailboxes, for their sources (docs/protocol.md, 3.1): list, pieces, deleting.

Nobody who may not know it learns whether a mailbox exists: unknown, empty, read and full ones run the same statements
with the same number of values, and are answered with the same number of bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Integer, bindparam, func, select

from tipbox.formats.base.limits import KIB, MAILBOX_PIECE, MAX_REPLIES
from tipbox.formats.mailbox_list import MOST_LISTED, Entry, encode_list, how_many_fit
from tipbox.server.storage import reply_rows
from tipbox.server.storage.blobs import BlobStore
from tipbox.server.storage.decoys import decoy_ids
from tipbox.server.storage.executors import Threads
from tipbox.server.storage.models import HASH, Decoy, DecoyOpening, Organisation, Reply, ReplyOpening
from tipbox.server.storage.reply_rows import MOST_OF_ONE, numbered_ids, padded_ids
from tipbox.server.storage.transactions import Store

CHUNK: Final = 64 * KIB
"""Bytes of a piece that are in memory at a time, so that slow readers cost little."""
_DECOY_IDS: Final = decoy_ids(MOST_LISTED)
_MAILBOX: Final = bindparam("mailbox", type_=HASH)
_ID: Final = bindparam("id", type_=HASH)


# Fixed statements: each has one text and one number of values, whatever is asked for.
_ENTRIES: Final = (
    select(Reply.entry).where(Reply.mailbox == _MAILBOX).order_by(Reply.day.desc(), Reply.id).limit(MAX_REPLIES)
)
_ORGANISATIONS: Final = select(func.count()).select_from(Organisation)
# How many is a value, not text of the statement, which is the same for every mailbox.
_DECOYS: Final = select(Decoy.entry).order_by(Decoy.day.desc(), Decoy.id).limit(bindparam("rest", type_=Integer()))
_DECOY_OPENINGS: Final = select(DecoyOpening.id, DecoyOpening.opening).where(
    DecoyOpening.id.in_(numbered_ids(MOST_LISTED))
)
_OPENINGS: Final = select(ReplyOpening.id, ReplyOpening.opening).where(
    ReplyOpening.mailbox == _MAILBOX, ReplyOpening.id.in_(numbered_ids(MOST_LISTED))
)
_PIECE: Final = (
    select(Reply.size, Reply.blob, ReplyOpening.opening)
    .outerjoin(ReplyOpening, (ReplyOpening.mailbox == Reply.mailbox) & (ReplyOpening.id == Reply.id))
    .where(Reply.mailbox == _MAILBOX, Reply.id == _ID)
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
        blobs = self.store.write(lambda connection: reply_rows.delete_named(connection, address, replies))
        # After the rows, and before the answer, which promises a source that they are gone.
        self.threads.disk(self.blobs.delete_durably, blobs)


def _list(connection: Connection, address: bytes) -> bytes:
    """The list: read with as many decoys as it takes to read what the fullest mailbox has."""
    most = min(MAX_REPLIES, MOST_OF_ONE * connection.execute(_ORGANISATIONS).scalar_one())
    entries = connection.execute(_ENTRIES, {"mailbox": address}).scalars().all()
    count = len(entries)
    decoys = connection.execute(_DECOYS, {"rest": max(0, most - count)}).scalars().all()
    # Decoys are parsed like replies, or the time would tell how many replies there are.
    first = [Entry.parse(entry) for entry in (*entries, *decoys)[:MOST_LISTED]]
    fit = how_many_fit(first[:count], count)
    wanted, made_up = [one.id for one in first[:fit]], _DECOY_IDS[fit:]
    found = connection.execute(_OPENINGS, {"mailbox": address, **padded_ids(wanted, MOST_LISTED)}).all()
    # Read and dropped: letters that this mailbox does not have cost as much as those that it has.
    connection.execute(_DECOY_OPENINGS, padded_ids(made_up, MOST_LISTED)).all()
    openings = {row[0]: row[1] for row in found}
    return encode_list(entries, [openings[one] for one in wanted])


def _read(blobs: BlobStore, blob: str, start: int, size: int) -> bytes:
    try:
        return b"".join(blobs.read(blob, start, size))
    except (FileNotFoundError, EOFError):  # deleted since the row was read; ``check`` names one that the disk lost
        return bytes(size)


def _padded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    remaining = MAILBOX_PIECE
    for chunk in chunks:
        remaining -= len(chunk)
        yield chunk
    while remaining:
        size = min(remaining, CHUNK)
        remaining -= size
        yield bytes(size)
