"""Depositing a reply from an inward Bundle: checked, streamed to a durable blob, then noted in one transaction.

A mailbox comes into being by its first reply. The hash of each item that was taken is kept for as long as replies are,
so that a Bundle that comes again does not bring back what its source has deleted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from io import BufferedReader

from sqlalchemy import Connection, delete, exists, func, insert, select

from tipbox.errors import Full, LimitExceeded, Malformed, Truncated
from tipbox.formats.base.limits import HASH_SIZE, MAX_REPLY
from tipbox.formats.base.primitives import equal
from tipbox.formats.bundles.bundle_read import Bundle, Item, damaged
from tipbox.formats.envelopes.header import PREFIX, Header, Kind, header_size
from tipbox.formats.envelopes.seals import EnvelopeHash, envelope_id
from tipbox.formats.mailbox_list import LARGEST_LISTED, Entry
from tipbox.server.storage import reply_rows
from tipbox.server.storage.blobs import IncomingBlob
from tipbox.server.storage.clock import Clock
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.models import Deposit, InwardBundle, Ledger, Organisation, RefusedItem, Reply
from tipbox.server.storage.open_server import OpenServer
from tipbox.server.storage.reply_rows import MOST_BYTES_OF_ONE, MOST_OF_ONE, ReplyRow
from tipbox.server.storage.transactions import DISK_FULL


@dataclass(frozen=True)
class ReplyStart:
    """A reply item up to its letter. ``opening``: header ‖ letter."""

    mailbox: bytes
    header: Header
    opening: bytes = field(repr=False)

    @property
    def listed(self) -> bytes:
        """The opening when a list can hold it; what is larger lies in the blob."""
        return self.opening if len(self.opening) <= LARGEST_LISTED else b""


class _HashedStream:
    """The bytes of an item, hashed as they are read."""

    def __init__(self, stream: BufferedReader) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def take(self, size: int) -> bytes:
        """``size`` bytes; Truncated when the item ends before."""
        data = self._stream.read(size)
        if len(data) < size:
            raise Truncated("the reply ends too early")
        self._digest.update(data)
        return data

    def digest(self) -> bytes:
        """SHA-256 of what was read."""
        return self._digest.digest()


def deposit(server: OpenServer, bundle: Bundle, item: Item, clock: Clock) -> bool:
    """Put the reply of ``item`` into its mailbox; whether that is news.

    Raises:
        Full: the mailbox, the quota of replies or the disk has no room for it.
        DamagedItem: the item is not what the desk wrote; the Bundle has to come again.
        TipboxError: it is not a reply: an error of the format.
    """
    writer = bundle.index.organisation
    # Asked early, as _admit is, to save reading the item; decided in the transaction that stores it.
    if server.store.read(lambda connection: _was_taken(connection, bundle, item)):
        return False
    with bundle.open(item) as opened:
        stream = _HashedStream(opened)
        start = _read_start(stream, item)
        server.store.read(lambda connection: _admit(connection, server, writer, start))
        try:
            with server.blobs.create(at_once=True) as blob:
                return _deposit(server, bundle, item, clock, _IncomingReply(stream, start, blob))
        except OSError as error:
            raise (Full() if error.errno in DISK_FULL else error) from None


@dataclass(frozen=True)
class _IncomingReply:
    stream: _HashedStream
    start: ReplyStart
    blob: IncomingBlob


def _read_start(stream: _HashedStream, item: Item) -> ReplyStart:
    mailbox, prefix = stream.take(HASH_SIZE), stream.take(PREFIX)
    header = Header.parse(prefix + stream.take(header_size(prefix) - PREFIX))
    header.expect(Kind.REPLY)
    if header.envelope_size > MAX_REPLY:
        raise LimitExceeded("a reply is larger than a mailbox takes")
    if item.entry.size != HASH_SIZE + header.envelope_size:
        raise Malformed("a reply does not have the size that its header says")
    return ReplyStart(mailbox, header, header.encoded + stream.take(header.sealed_letter_size))


def _deposit(server: OpenServer, bundle: Bundle, item: Item, clock: Clock, arriving: _IncomingReply) -> bool:
    start, blob = arriving.start, arriving.blob
    header = start.header
    envelope = EnvelopeHash(header.encoded, start.opening[len(header.encoded) :])
    if not start.listed:
        blob.write(start.opening)
    for index in range(header.parts):
        part = arriving.stream.take(header.part_size(index))
        envelope.add(part)
        blob.write(part)
    # Before it is durable: of a damaged item nothing is left.
    if not equal(arriving.stream.digest(), item.entry.hash):
        raise damaged(item, "not what the index says")
    name = blob.keep(blob.size) if blob.size else None
    identifier = envelope_id(envelope.digest())
    row = ReplyRow(
        mailbox=start.mailbox,
        id=identifier,
        organisation=bundle.index.organisation,
        day=clock.today,
        seen_day=clock.days_seen,
        size=header.envelope_size,
        entry=Entry(identifier, clock.today, header.envelope_size, len(start.opening)).encode(),
        blob=name,
        opening=start.listed,
    )

    def note(connection: Connection) -> bool:
        if _was_taken(connection, bundle, item):
            return False
        _admit(connection, server, bundle.index.organisation, start)
        # Also when the mailbox has this reply already: the item is done with.
        _note_deposited(connection, row, item.entry.hash)
        return reply_rows.store(connection, row)

    try:
        used = server.store.write(note)
    except Full:
        if name is not None:
            blob.discard()
        raise
    if not used and name is not None:
        blob.discard()
    return used


def _note_deposited(connection: Connection, row: ReplyRow, item: bytes) -> None:
    connection.execute(insert(Deposit).values(item=item, seen_day=row.seen_day))
    connection.execute(
        delete(RefusedItem).where(RefusedItem.organisation == row.organisation, RefusedItem.item == item)
    )


def _was_taken(connection: Connection, bundle: Bundle, item: Item) -> bool:
    """Whether this item was deposited once, or came in a Bundle that was taken in whole and was not refused."""
    organisation = bundle.index.organisation
    deposited = exists().where(Deposit.item == item.entry.hash)
    bundle_taken = exists().where(
        InwardBundle.organisation == organisation,
        InwardBundle.sequence == bundle.index.sequence,
        InwardBundle.volume == bundle.index.volume,
    )
    refused = exists().where(RefusedItem.organisation == organisation, RefusedItem.item == item.entry.hash)
    return bool(connection.execute(select(deposited | (bundle_taken & ~refused))).scalar_one())


def _admit(connection: Connection, server: OpenServer, writer: bytes, start: ReplyStart) -> None:
    """Full when there is no room for a reply of ``writer``."""
    size, quota = start.header.envelope_size, server.config.quota
    disk = Disk.of(server.home.path, holds_bodies=server.blobs.local)
    count, held = connection.execute(
        select(func.count(), func.coalesce(func.sum(Reply.size), 0)).where(Reply.mailbox == start.mailbox)
    ).one()
    # A mailbox is of one organisation; whoever learned its address must not fill it up.
    of_another = connection.execute(
        select(exists().where(Reply.mailbox == start.mailbox, Reply.organisation != writer))
    ).scalar_one()
    stored = connection.execute(select(Ledger.reply_bytes)).scalar_one()
    own = connection.execute(select(Organisation.reply_bytes).where(Organisation.id == writer)).scalar_one()
    organisations = connection.execute(select(func.count()).select_from(Organisation)).scalar_one()
    has_blob = start.header.parts or not start.listed
    reserve = disk.reserve(quota) if has_blob and disk.holds_bodies else 0
    if (
        of_another
        or count >= MOST_OF_ONE
        or int(held) + size > MOST_BYTES_OF_ONE
        or stored + size > quota.reply_bytes
        or own + size > quota.reply_bytes // organisations  # no organisation shuts the mailboxes of the others
        or disk.free - size < max(disk.floor, reserve)
    ):
        raise Full
