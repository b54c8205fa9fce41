"""Mailboxes, for their sources (docs/protocol.md, 3.1): list, pieces, deleting.

Nobody who may not know it learns whether a mailbox exists: unknown, empty, read and full ones run the same statements
with the same number of values, and are answered with the same number of bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Integer, bindparam, func, or_, select

from tipbox.formats.base.limits import KIB, MAILBOX_PIECE, MAX_REPLIES
from tipbox.formats.mailbox_list import MOST_LISTED, Entry, encode_list, how_many_fit
from tipbox.server.storage import reply_rows
from tipbox.server.storage.blobs import BlobStore
from tipbox.server.storage.decoys import decoy_ids
from tipbox.server.storage.executors import Threads
from tipbox.server.storage.models import HASH, Decoy, DecoyOpening, Organisation, Reply, ReplyOpening
from tipbox.server.storage.reply_rows import (
    MOST_OF_ONE,
    mailbox_values,
    mailboxes,
    numbered_ids,
    padded_ids,
)
from tipbox.server.storage.transactions import Store

CHUNK: Final = 64 * KIB
"""Bytes of a piece that are in memory at a time, so that slow readers cost little."""
_DECOY_IDS: Final = decoy_ids(MOST_LISTED)
_ID: Final = bindparam("id", type_=HASH)
_PLACE: Final = slice(48, 49)
"""Where an entry has the place of its mailbox's token, which each request counts anew."""
_DAY: Final = slice(32, 36)


# Fixed statements: each has one text and one number of values, whatever is asked for. A decoy's row has the columns of
# a reply's, or the time that it takes to fetch one would tell which it is.
_ENTRIES: Final = select(Reply.mailbox, Reply.entry).where(Reply.mailbox.in_(mailboxes())).limit(MAX_REPLIES)
_ORGANISATIONS: Final = select(func.count()).select_from(Organisation)
# How many is a value, not text of the statement, which is the same for every mailbox.
_DECOYS: Final = select(Decoy.id, Decoy.entry).limit(bindparam("rest", type_=Integer()))
_DECOY_OPENINGS: Final = select(DecoyOpening.id.label("mailbox"), DecoyOpening.id, DecoyOpening.opening).where(
    DecoyOpening.id.in_(numbered_ids(MOST_LISTED))
)
_OPENINGS: Final = select(ReplyOpening.mailbox, ReplyOpening.id, ReplyOpening.opening).where(
    or_(*(
        (ReplyOpening.mailbox == bindparam(f"of_{number}", type_=HASH)) & (ReplyOpening.id == entry_id)
        for number, entry_id in enumerate(numbered_ids(MOST_LISTED))
    ))
)  # fmt: skip
_PIECE: Final = (
    select(Reply.size, Reply.blob, ReplyOpening.opening)
    .outerjoin(ReplyOpening, (ReplyOpening.mailbox == Reply.mailbox) & (ReplyOpening.id == Reply.id))
    .where(Reply.mailbox.in_(mailboxes()), Reply.id == _ID)
)


@dataclass(frozen=True)
class Mailboxes:
    """The three requests. ``addresses``: SHA-256 of each of the 32 tokens, in their order."""

    store: Store
    blobs: BlobStore
    threads: Threads

    def list(self, addresses: Sequence[bytes]) -> bytes:
        """``POST /api/mailbox``."""
        return self.store.read(lambda connection: _list(connection, addresses))

    def piece(self, addresses: Sequence[bytes], reply: bytes, number: int) -> Iterator[bytes]:
        """``POST /api/mailbox/piece``: 262,144 bytes, as they are read."""
        row = self.store.read(
            lambda connection: connection.execute(_PIECE, {**mailbox_values(addresses), "id": reply}).first()
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

    def delete(self, addresses: Sequence[bytes], replies: Sequence[bytes]) -> None:
        """``POST /api/mailbox/delete``: what is named is durably gone on return."""
        # Erased, also from the log: whoever finds an access code later could open what lies there until tonight.
        blobs = self.store.write(
            lambda connection: reply_rows.delete_named(connection, addresses, replies), erases=True
        )
        # After the rows, and before the answer, which promises a source that they are gone.
        self.threads.disk(self.blobs.delete_durably, blobs)


def _list(connection: Connection, addresses: Sequence[bytes]) -> bytes:
    """The list: read with as many decoys as it takes to read what the fullest mailboxes have."""
    most = min(MAX_REPLIES, MOST_OF_ONE * connection.execute(_ORGANISATIONS).scalar_one())
    found = connection.execute(_ENTRIES, mailbox_values(addresses)).all()
    places = {address: place for place, address in enumerate(addresses)}
    real = [(_placed(entry, places[mailbox]), mailbox) for mailbox, entry in found]
    decoys = connection.execute(_DECOYS, {"rest": max(0, most - len(real))}).all()
    # Sorted and parsed together with the decoys, or the time would tell how many replies there are.
    ordered = _once(sorted([*real, *((_placed(entry, 0), b"") for _, entry in decoys)], key=_order))
    listed = [row for row in ordered if row[1]]
    first = [Entry.parse(entry) for entry, _ in (*listed, *(row for row in ordered if not row[1]))[:MOST_LISTED]]
    fit = how_many_fit(first[: len(listed)], len(listed))
    wanted = [(mailbox, entry.id) for (_, mailbox), entry in zip(listed[:fit], first[:fit], strict=True)]
    rest = MOST_LISTED - fit
    asked = padded_ids([ident for _, ident in wanted], MOST_LISTED)
    of = {
        f"of_{number}": address
        for number, address in enumerate([*(mailbox for mailbox, _ in wanted), *addresses[:rest]])
    }
    # Decoys' letters are read and not used: what these mailboxes do not have costs as much as what they have.
    read = connection.execute(_OPENINGS, {**asked, **of}).all()
    read = [*read, *connection.execute(_DECOY_OPENINGS, padded_ids(_DECOY_IDS[fit:], MOST_LISTED)).all()]
    openings = {(mailbox, ident): opening for mailbox, ident, opening in read}
    return encode_list([entry for entry, _ in listed], [openings[key] for key in wanted])


def _once(listed: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Each reply once, as it came first.

    Two organisations that work together can put one into a mailbox each, and a list that names a reply twice is none.
    """
    last = {entry[: _DAY.start]: number for number, (entry, _) in enumerate(listed)}
    return [row for number, row in enumerate(listed) if last[row[0][: _DAY.start]] == number]


def _placed(entry: bytes, place: int) -> bytes:
    return entry[: _PLACE.start] + bytes([place]) + entry[_PLACE.stop :]


def _order(one: tuple[bytes, bytes]) -> tuple[int, bytes]:
    """Newest day first, those of one day by id: as a list has them."""
    entry = one[0]
    return -int.from_bytes(entry[_DAY]), entry[: _DAY.start]


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
