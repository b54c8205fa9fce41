"""Bundles to an organisation: all that has a slot for it and that it has not acknowledged, whole, in random order."""

from __future__ import annotations

import errno
import secrets
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from tipbox.errors import TOO_LARGE_A_FILE, Full, InputRefused, NotFound, Truncated
from tipbox.files.durable import SEALED_MODE, make_stick_folder, replacing
from tipbox.formats.base import padding
from tipbox.formats.base.limits import KIB, MAX_ITEMS, MAX_REPORT_BUNDLES, MAX_REPORT_VOLUMES, MAX_SLOTS, MIB, PART_SIZE
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.bundles.bundle import ENVELOPE, OUTWARD, BundleHeader, Head, Index, ItemEntry, Receipt
from tipbox.formats.bundles.bundle_write import Volume
from tipbox.formats.bundles.report import Report, TakenBundle
from tipbox.formats.bundles.stamps import stamp
from tipbox.formats.manifest import Manifest, ReceivingKey
from tipbox.server.config import LARGEST_VOLUME
from tipbox.server.storage import envelope_rows
from tipbox.server.storage.blobs import BlobStore
from tipbox.server.storage.clock import tick
from tipbox.server.storage.models import CustodyHead, Envelope, InwardBundle, RefusedItem, Series, Slot
from tipbox.server.storage.open_server import OpenServer, open_server
from tipbox.server.storage.organisations import find_by_name
from tipbox.server.storage.transactions import DISK_FULL

_FIRST_ITEMS: Final = MAX_ITEMS - 1
"""Envelopes in a volume; one item is left for the report."""
MOST_VOLUMES: Final = 1000
MOST_ENVELOPES: Final = 2**17
"""Of one export: what is kept of two (about 130 bytes an Envelope), and a third time in SQLite's log until that is
emptied, fits below the floor of the disk."""
_REPORT_LENGTH: Final = 4
_COMPRESSED: Final = b"\x78"
"""How what is compressed begins. What earlier versions kept begins with the first byte of a length, which is zero."""
_LARGEST: Final = 16 * MIB
"""Bytes of what is kept of a volume: its index has at most 4 MiB, and its report less than 10."""
_AHEAD: Final = 128 * KIB
"""Bytes of Envelopes whose rows are read at a time, and that each reader of a volume holds."""
_BATCH: Final = 500
"""Ids in one statement: databases bound the number of its values."""

_PENDING: Final = (
    select(
        Envelope.id,
        Envelope.body_size,
        Envelope.blob,
        func.length(Envelope.header) + func.length(Envelope.letter) + func.length(Envelope.trailer),
        Envelope.hash,
        Envelope.day,
        Envelope.stamp,
        Envelope.effort,
    )
    .join(Slot, Slot.envelope == Envelope.id)
    .where(Slot.acknowledged.is_(False))
)


@dataclass(frozen=True)
class PendingEnvelope:
    """An Envelope that an organisation has not acknowledged. ``receipt``: None while it was never exported."""

    id: bytes
    size: int
    blob: str | None
    body_size: int
    hash: bytes = b""
    day: date = date.min
    receipt: Receipt | None = None


@dataclass(frozen=True)
class ExportStart:
    """What the transaction of an export says: its sequence, the report and the heads."""

    sequence: int
    report: Report
    heads: tuple[Head, ...] = ()


def write_volumes(home: Path, organisation: str, out: Path, *, today: date | None = None) -> list[Path]:
    """Write one or more volumes ``ORG-<sequence>-<volume>.bundle`` into ``out``.

    Args:
        home: the server's folder; the server may be running.
        organisation: short name.
        out: made when missing.
        today: the day, UTC.

    Returns:
        The volumes, letters first. There is always one: it tells the desk which of its Bundles were taken.

    Raises:
        NotFound: no such organisation here.
        NoCurrentKey: its manifest names no receiving key for this day.
        Full: ``out`` has no room for all of them; none is left there.
        InputRefused: its file system takes no file that large; none is left there.
        Usage: ``out`` is in the server's folder.
    """
    with open_server(home) as server:
        return write_volumes_of(server, organisation, out, today or server.today())


def write_volumes_of(server: OpenServer, organisation: str, out: Path, today: date) -> list[Path]:
    """``write_volumes`` on a server that is open."""
    server.home.must_not_hold(out)
    volumes = prepare_volumes(server, organisation, today)
    make_stick_folder(out)
    needed = sum(volume.sealed.size for volume in volumes)
    if needed > shutil.disk_usage(out).free:
        raise Full(f"exporting: the volumes take {needed:,} bytes, and {out} has less room; name another folder")
    paths: list[Path] = []
    try:
        for volume in volumes:
            path = out / volume.name
            with replacing(path, SEALED_MODE) as file:
                file.writelines(volume.pieces(server))
            paths.append(path)
    except BaseException as error:
        # All volumes or none: a courier must not leave with some of them.
        for path in paths:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            raise InputRefused(f"exporting: {TOO_LARGE_A_FILE.format(out)}") from error
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise Full(f"exporting: {out} has no room for the volumes; name another folder") from error
        raise
    return paths


@dataclass(frozen=True)
class PreparedVolume:
    """A volume whose bytes are made when they are read, from any byte on, always the same."""

    name: str
    sealed: Volume
    report: bytes = b""

    @classmethod
    def load(cls, name: str, data: bytes) -> PreparedVolume:
        """The inverse of ``save``."""
        if data[:1] == _COMPRESSED:
            data = _decompressed(data)
        end = _REPORT_LENGTH + int.from_bytes(data[:_REPORT_LENGTH])
        return cls(name, Volume.load(data[end:]), data[_REPORT_LENGTH:end])

    def save(self) -> bytes:
        """All except the Envelopes."""
        whole = len(self.report).to_bytes(_REPORT_LENGTH) + self.report + self.sealed.save()
        # Hashes and stamps are written as text in an index: half of that is room.
        return zlib.compress(whole, zlib.Z_BEST_SPEED)

    @property
    def sequence(self) -> int:
        """The number of its export."""
        return int(self.name.rsplit("-", 2)[1])

    @property
    def number(self) -> int:
        """Its own number within the export, from 1."""
        return int(self.name.rsplit("-", 2)[2].removesuffix(".bundle"))

    @property
    def reader_key(self) -> bytes:
        """The id of the key that opens it."""
        return BundleHeader.parse(self.sealed.header).key

    @property
    def envelopes(self) -> list[bytes]:
        """The ids of its Envelopes."""
        return [entry.hash for entry in self.sealed.entries if entry.kind == ENVELOPE]

    def pieces(self, server: OpenServer, begin: int = 0) -> Iterator[bytes]:
        """Its bytes from ``begin`` on.

        A body that is lost keeps nothing else here: in its place comes what its desk finds damaged and does not
        acknowledge; ``check`` names it.

        Raises:
            InputRefused: an Envelope has gone since the volume was prepared.
        """
        opened, openings = 0, _Openings(server, self.sealed.entries)

        def open_item(number: int, start: int) -> Iterable[bytes]:
            nonlocal opened
            opened = number
            entry = self.sealed.entries[number - 1]
            return [self.report[start:]] if entry.kind == "report" else _pieces(server, openings.read(number), start)

        while True:
            try:
                for piece in self.sealed.pieces(open_item, begin):
                    yield piece
                    begin += len(piece)
            except _BodyLost:
                end = self._end(opened)
                while begin < end:
                    # Not sealed: under one nonce nothing else may ever be, and the body may come back.
                    piece = random_bytes(min(PART_SIZE, end - begin))
                    yield piece
                    begin += len(piece)
            else:
                return

    def _end(self, item: int) -> int:
        """Where an item of the volume ends, counted from 1."""
        sizes = [len(self.sealed.plaintext), *(entry.size for entry in self.sealed.entries[:item])]
        return len(self.sealed.header) + sum(map(padding.sealed_size, sizes))


class _BodyLost(Exception):
    """A stored body is gone, or shorter than it was."""


def reader_of(server: OpenServer, organisation: str, today: date) -> tuple[Manifest, ReceivingKey]:
    """The manifest in force of an organisation, and the key to which an export of that day is sealed.

    Raises:
        NotFound: no such organisation here.
        NoCurrentKey: its manifest names no receiving key for this day.
    """
    listed = find_by_name(server.store, organisation)
    if listed is None:
        raise NotFound(f"exporting to {organisation}: there is no such organisation on this server")
    listed.manifest.check(today)
    return listed.manifest, listed.manifest.current_key(today)


def prepare_volumes(server: OpenServer, organisation: str, today: date) -> list[PreparedVolume]:
    """The volumes of a new export.

    Raises:
        NotFound: no such organisation here.
        NoCurrentKey: its manifest names no receiving key for this day.
    """
    manifest, key = reader_of(server, organisation, today)
    start = server.store.write(lambda connection: _begin(connection, manifest.id, today))
    # After that transaction: whoever stores a tip does not wait for this.
    pending = server.store.read(lambda connection: _pending(connection, manifest.id))
    # A disk may have lost some. With S3 each would be a request: those come out as lost when they are read.
    if server.blobs.local:
        pending = [one for one in pending if _is_there(server.blobs, one.blob, one.body_size)]
    intact = _stamped(server, pending)
    volumes = plan(intact)[:MOST_VOLUMES]  # the rest goes with the exports after this one
    prepared = []
    for number, volume in enumerate(volumes, 1):
        entries = [ItemEntry(ENVELOPE, envelope.size, envelope.id, envelope.receipt) for envelope in volume]
        report = start.report.encode() if number == 1 else b""
        if report:
            entries.insert(0, ItemEntry("report", len(report), sha256(report)))
        # Sender and items are filled in by Volume.begin.
        index = Index(
            day=today,
            direction=OUTWARD,
            organisation=manifest.id,
            sender=b"",
            sequence=start.sequence,
            items=(),
            server_key=server.keys.public,
            volume=number,
            volumes=len(volumes),
            heads=start.heads,
        )
        sealed = Volume.begin(index, entries, reader=manifest.id, reader_public=key.public, signer=server.keys.signing)
        prepared.append(PreparedVolume(f"{organisation}-{start.sequence}-{number}.bundle", sealed, report))
    return prepared


def _stamped(server: OpenServer, pending: Sequence[PendingEnvelope]) -> list[PendingEnvelope]:
    """The same with a receipt each. A stamp is made once, and away from the process that strangers talk to."""
    made = _stamp(
        server, [(envelope.id, envelope.hash, envelope.day) for envelope in pending if envelope.receipt is None]
    )
    return [
        envelope if envelope.receipt else replace(envelope, receipt=Receipt(envelope.day, made[envelope.id]))
        for envelope in pending
    ]


def stamp_all(server: OpenServer) -> None:
    """Stamp every Envelope that was never exported: without it, one would tell that it came after the last export."""
    unstamped = select(Envelope.id, Envelope.hash, Envelope.day).where(Envelope.stamp.is_(None))
    rows = server.store.read(lambda connection: connection.execute(unstamped).all())
    _stamp(server, [(row[0], row[1], row[2]) for row in rows])


def _stamp(server: OpenServer, envelopes: Sequence[tuple[bytes, bytes, date]]) -> dict[bytes, bytes]:
    """Make and keep the stamps of Envelopes, each with id, hash and day; by id."""
    made = {ident: stamp(digest, day, server.keys.signing) for ident, digest, day in envelopes}
    for at in range(0, len(made), _BATCH):
        stamps = {ident: made[ident] for ident in list(made)[at : at + _BATCH]}
        server.store.write(partial(envelope_rows.keep_stamps, stamps=stamps))
    return made


def are_there(server: OpenServer, envelopes: Sequence[bytes]) -> bool:
    """Whether all of these are here still, and the bodies that lie on the disk are whole."""
    for at in range(0, len(envelopes), _BATCH):
        batch = envelopes[at : at + _BATCH]
        found = server.store.read(partial(_bodies, envelopes=batch))
        if len(found) != len(batch):
            return False
        if server.blobs.local and not all(_is_there(server.blobs, blob, body_size) for blob, body_size in found):
            return False
    return True


def _bodies(connection: Connection, envelopes: Sequence[bytes]) -> list[tuple[str | None, int]]:
    """Blob and plaintext size of the body of each Envelope that is still here."""
    rows = connection.execute(select(Envelope.blob, Envelope.body_size).where(Envelope.id.in_(envelopes)))
    return [(row[0], row[1]) for row in rows]


def _begin(connection: Connection, organisation: bytes, today: date) -> ExportStart:
    tick(connection, today)
    series = (Series.organisation == organisation, Series.direction == OUTWARD)
    last = connection.execute(select(Series.sequence).where(*series)).scalar_one_or_none()
    # Used up even when writing fails: a desk must never see one number on two exports.
    sequence = (last or 0) + 1
    if last is None:
        connection.execute(insert(Series).values(organisation=organisation, direction=OUTWARD, sequence=sequence))
    else:
        connection.execute(update(Series).where(*series).values(sequence=sequence))
    return ExportStart(sequence, _report(connection, organisation), _heads(connection))


def _decompressed(data: bytes) -> bytes:
    """What ``PreparedVolume.save`` compressed; Truncated for anything less."""
    stream = zlib.decompressobj()
    try:
        whole = stream.decompress(data, _LARGEST)
    except zlib.error:
        whole = b""
    if not stream.eof:
        raise Truncated("a volume that was kept is not whole")
    return whole


def _pending(connection: Connection, organisation: bytes) -> list[PendingEnvelope]:
    """What an organisation has not acknowledged, as much of it as one export holds; texts before files."""
    found = _PENDING.where(Slot.organisation == organisation)
    rows = list(connection.execute(found.where(Envelope.body_size == 0).limit(MOST_ENVELOPES)))
    rows += connection.execute(found.where(Envelope.body_size > 0).limit(MOST_ENVELOPES - len(rows)))
    return [
        PendingEnvelope(
            id=row[0],
            size=row[3] + padding.sealed_body_size(row[1]),
            blob=row[2],
            body_size=row[1],
            hash=row[4],
            day=row[5],
            receipt=Receipt(row[5], row[6], row[7]) if row[6] is not None else None,
        )
        for row in rows
    ]


def _heads(connection: Connection) -> tuple[Head, ...]:
    """Those of all organisations, also of the one that the Bundle is for."""
    rows = connection.execute(
        select(CustodyHead.organisation, CustodyHead.head, CustodyHead.day, CustodyHead.stamp).order_by(
            CustodyHead.organisation
        )
    ).all()
    return tuple(Head(row[0], row[1], row[2], row[3]) for row in rows[:MAX_SLOTS])


def _report(connection: Connection, organisation: bytes) -> Report:
    rows = connection.execute(
        select(InwardBundle.sequence, InwardBundle.index)
        .where(InwardBundle.organisation == organisation)
        .order_by(InwardBundle.sequence.desc(), InwardBundle.volume)
        .limit(MAX_REPORT_BUNDLES)
    ).all()
    taken = [
        TakenBundle(sequence, tuple(row[1] for row in volumes)[:MAX_REPORT_VOLUMES])
        for sequence, volumes in groupby(rows, key=itemgetter(0))
    ]
    refused = connection.execute(
        select(RefusedItem.item, RefusedItem.code)
        .where(RefusedItem.organisation == organisation)
        .order_by(RefusedItem.item)
        .limit(MAX_ITEMS)
    ).all()
    return Report(tuple(taken), tuple((item, code) for item, code in refused))


def plan(waiting: Sequence[PendingEnvelope]) -> list[list[PendingEnvelope]]:
    """Volumes: Envelopes without a body first, each group in random order, each Envelope whole."""
    order = secrets.SystemRandom()
    volumes: list[list[PendingEnvelope]] = []
    # Texts first: a courier who cannot carry all of it carries these.
    for group in (
        [envelope for envelope in waiting if not envelope.body_size],
        [envelope for envelope in waiting if envelope.body_size],
    ):
        # Whoever opens a Bundle, or counts its bytes, must not learn in which order tips came.
        order.shuffle(group)
        volume: list[PendingEnvelope] = []
        size = 0
        for envelope in group:
            if volume and (len(volume) == _FIRST_ITEMS or size + envelope.size > LARGEST_VOLUME):
                volumes.append(volume)
                volume, size = [], 0
            volume.append(envelope)
            size += envelope.size
        if volume:
            volumes.append(volume)
    return volumes or [[]]


def _is_there(blobs: BlobStore, blob: str | None, body_size: int) -> bool:
    """Whether a body is whole. One that the disk lost must not keep the others here; ``check`` names it."""
    return blob is None or blobs.size(blob) == padding.sealed_body_size(body_size)


@dataclass(frozen=True)
class _Opening:
    """All of a stored Envelope but its body."""

    id: bytes
    opening: bytes
    blob: str | None
    body_size: int
    trailer: bytes


class _Openings:
    """The rows of a volume's Envelopes, of several at a time: each read is a way to the database and back."""

    def __init__(self, server: OpenServer, entries: Sequence[ItemEntry]) -> None:
        self._server = server
        self._entries = entries
        self._read: dict[bytes, _Opening] = {}

    def read(self, number: int) -> _Opening:
        """That of an item, counted from 1.

        Raises:
            InputRefused: it has gone.
        """
        wanted = self._entries[number - 1].hash
        if wanted not in self._read:
            self._read = self._server.store.read(partial(_openings, envelopes=list(self._ahead(number - 1))))
        if wanted not in self._read:
            raise _gone()
        return self._read.pop(wanted)

    def _ahead(self, place: int) -> Iterator[bytes]:
        """This one, and those after it which a reader may hold besides."""
        size = 0
        for entry in self._entries[place:]:
            if size and size + entry.size > _AHEAD:
                return
            size += entry.size
            yield entry.hash


def _openings(connection: Connection, envelopes: Sequence[bytes]) -> dict[bytes, _Opening]:
    columns = select(
        Envelope.id, Envelope.header, Envelope.letter, Envelope.blob, Envelope.body_size, Envelope.trailer
    ).where(Envelope.id.in_(envelopes))
    return {row[0]: _Opening(row[0], row[1] + row[2], row[3], row[4], row[5]) for row in connection.execute(columns)}


def _gone() -> InputRefused:
    return InputRefused("exporting: Envelopes were acknowledged while they were read; export again")


def _pieces(server: OpenServer, found: _Opening, start: int) -> Iterator[bytes]:
    """An Envelope from its byte ``start`` on."""
    if start < len(found.opening):
        yield found.opening[start:]
    at = max(0, start - len(found.opening))
    body = padding.sealed_body_size(found.body_size)
    if found.blob is not None and at < body:
        try:
            yield from server.blobs.read(found.blob, at, body - at, slowly=True)
        except (FileNotFoundError, EOFError):
            # Its body goes after its row.
            if not server.store.read(partial(_bodies, envelopes=[found.id])):
                raise _gone() from None
            raise _BodyLost from None
    yield found.trailer[max(0, at - body) :]
