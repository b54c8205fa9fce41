"""Backing up a running server: committed Envelopes, organisations, settings and keys, sealed to the operator's key.

Uploads under way, mailboxes and finish records are never in it. The database is read in one transaction, so the backup
is of one moment; a body is read while its Envelope's row is in that moment, and one that all have carried since is left
out. It is read by the database's own statements and not copied page by page (docs/decisions/0007).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select

from tipbox.errors import AlreadyThere, InputRefused, TipboxError
from tipbox.files.durable import replacing
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, MAX_ONION_FILE, MAX_SETTINGS
from tipbox.formats.envelopes.header import Header
from tipbox.formats.envelopes.seals import EnvelopeHash, envelope_id
from tipbox.server.backup.backup_records import ENVELOPE_FIXED, About, End, EnvelopeFacts, KnownOrganisation, Secrets
from tipbox.server.backup.container import MAGIC, Kind, Writer
from tipbox.server.backup.operator_key import PublicKey
from tipbox.server.config import FILE
from tipbox.server.credentials import read_onion_credentials
from tipbox.server.home import Home
from tipbox.server.storage.blobs import BlobStore
from tipbox.server.storage.models import Envelope, Ledger, Organisation, Series, Slot, StoredManifest
from tipbox.server.storage.open_server import OpenServer, open_server
from tipbox.server.storage.organisations import in_force
from tipbox.server.upkeep import upkeep_lock

_ROWS: Final = 8
"""Letters in memory at a time; one may have 4 MiB."""
_PART_FILE: Final = re.compile(r"\.[0-9a-f]{16}\.part", re.ASCII)
_ABANDONED: Final = timedelta(days=1)


@dataclass(frozen=True)
class BackupFacts:
    """A backup: its size in bytes and what is in it. ``damaged``: Envelopes whose body is gone or changed."""

    size: int
    envelopes: int
    damaged: int
    organisations: int
    onion_files: int


def make_backup(
    home: Path,
    out: Path,
    to: PublicKey,
    *,
    onion: Path | None = None,
    credentials: Path | None = None,
    today: date | None = None,
    replace: bool = False,
) -> BackupFacts:
    """Write a backup of the server in ``home`` to ``out``; the server may be running.

    Args:
        home: the server's folder.
        out: the file; it is there when it is whole.
        to: the operator's public key.
        onion: the folder in which tor keeps the onion services' keys.
        credentials: the folder in which systemd hands over these and the server's keys.
        today: the day, UTC.
        replace: take the place of whatever is at ``out``, once the backup is whole; without it only that of an older
            backup, or of an empty file.

    Raises:
        AlreadyThere: something else is at ``out``.
        InputRefused: ``out`` is a device or a pipe, the onion folder is not one of tor's, or Envelopes went while they
            were read.
        NetworkFailed: the blob store does not answer.
        Usage: ``out`` is in the server's folder.
    """
    Home(home).must_not_hold(out)
    if not replace and os.path.lexists(out) and not _may_go(out):
        raise AlreadyThere(f"backing up: {out} is there already and no backup; name another file, or say --replace")
    onion_files = read_onion(onion) if onion is not None else {}
    if credentials is not None:
        onion_files |= read_onion_credentials(credentials)
    with open_server(home, credentials) as server, upkeep_lock.alone(server):
        return _backup(server, out, to, onion_files, today or server.today())


def _may_go(path: Path) -> bool:
    """Whether a script that always writes to one name made this: a backup, or an empty file that keeps the name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) in {MAGIC, b""}


def _backup(server: OpenServer, out: Path, to: PublicKey, onion_files: dict[str, bytes], today: date) -> BackupFacts:
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(out.parent)
    with replacing(out) as file:
        writer = Writer(file, to.public)
        about = About(server.keys.id, today).encode()
        writer.record(Kind.ABOUT, len(about), [about])
        writer.secrets(Secrets(server.keys, onion_files).encode())
        _write_settings(writer, server.home.path / FILE)
        with server.store.snapshot() as connection:
            organisations = list(_organisations(connection))
            for organisation in organisations:
                data = organisation.encode()
                writer.record(Kind.ORGANISATION, len(data), [data])
            for listed in in_force(connection):
                writer.record(Kind.MANIFEST, len(listed.data), [listed.data])
            written = _Envelopes(server, connection, writer).write()
        writer.end(End(written.envelopes).encode())
        size = file.tell()
    return BackupFacts(size, written.envelopes, written.damaged, len(organisations), len(onion_files))


def read_onion(folder: Path) -> dict[str, bytes]:
    """The files of tor's folder by their relative names.

    Raises:
        InputRefused: it is no folder, or holds what tor does not write.
    """
    if not folder.is_dir():
        raise InputRefused(f"reading the onion keys: {folder} is not a folder; name tor's HiddenServiceDir")
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise InputRefused(f"reading the onion keys: {path} is no plain file; name tor's HiddenServiceDir")
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = file.read(MAX_ONION_FILE + 1)
    return found


def _remove_abandoned(folder: Path) -> None:
    """Remove what a backup that was killed left beside its place; others' files are not touched."""
    before = datetime.now(UTC) - _ABANDONED
    for path in folder.iterdir():
        with suppress(OSError):
            if _PART_FILE.fullmatch(path.name) and datetime.fromtimestamp(path.stat().st_mtime, UTC) < before:
                with path.open("rb") as file:
                    ours = file.read(len(MAGIC)) == MAGIC
                if ours:
                    path.unlink()


def _write_settings(writer: Writer, path: Path) -> None:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SETTINGS + 1)
    except FileNotFoundError:
        return
    if len(data) > MAX_SETTINGS:
        raise InputRefused(f"backing up: {path} is larger than {MAX_SETTINGS:,} bytes; shorten it")
    writer.record(Kind.SETTINGS, len(data), [data])


def _organisations(connection: Connection) -> Iterator[KnownOrganisation]:
    sequences = {
        row[0]: row[1]
        for row in connection.execute(
            select(Series.organisation, func.max(Series.sequence)).group_by(Series.organisation)
        )
    }
    serials = {
        row[0]: (row[1], row[2])
        for row in connection.execute(
            select(StoredManifest.organisation, StoredManifest.generation, StoredManifest.number)
        )
    }
    for ident, name, identity in connection.execute(
        select(Organisation.id, Organisation.name, Organisation.identity).order_by(Organisation.id)
    ):
        yield KnownOrganisation(name, identity, sequences.get(ident, 0), serials.get(ident))


@dataclass(frozen=True)
class _StoredEnvelope:
    """An Envelope's row, as the snapshot has it."""

    id: bytes
    day: date
    seen_day: int
    blob: str | None
    header: bytes = field(repr=False)
    letter: bytes = field(repr=False)
    trailer: bytes = field(repr=False)


@dataclass(frozen=True)
class _Written:
    """How many Envelopes were written, and how many are damaged: written or not."""

    envelopes: int
    damaged: int


class _Envelopes:
    """Writes the Envelopes of a snapshot."""

    def __init__(self, server: OpenServer, connection: Connection, writer: Writer) -> None:
        self._server = server
        self._connection = connection
        self._writer = writer
        self._days_seen: int = connection.execute(select(Ledger.days_seen)).scalar_one()

    def write(self) -> _Written:
        """Write those whose announced days have not passed."""
        last = self._days_seen - self._server.config.retention.days
        rows = self._connection.execute(
            select(
                Envelope.id,
                Envelope.day,
                Envelope.seen_day,
                Envelope.blob,
                Envelope.header,
                Envelope.letter,
                Envelope.trailer,
            )
            # What the next prune removes must not live on in a backup.
            .where(Envelope.seen_day > last)
            .order_by(Envelope.id),
            execution_options={"yield_per": _ROWS},
        )
        envelopes = damaged = 0
        for row in rows:
            written = self._write_one(_StoredEnvelope(*row))
            envelopes += written.envelopes
            damaged += written.damaged
        return _Written(envelopes, damaged)

    def _write_one(self, row: _StoredEnvelope) -> _Written:
        try:
            header = Header.parse(row.header)
        except TipboxError:
            return _Written(envelopes=0, damaged=1)
        body = _Body(self._server.blobs, row.blob, header.sealed_body_size)
        sizes = len(row.letter), len(row.trailer)
        if sizes != (header.sealed_letter_size, header.trailer_size) or not body.is_there:
            return _Written(envelopes=0, damaged=int(self._is_still_here(row.id)))
        acknowledged = self._connection.execute(
            select(Slot.organisation).where(Slot.envelope == row.id, Slot.acknowledged.is_(True))
        ).scalars()
        age = self._days_seen - row.seen_day
        facts = EnvelopeFacts(row.id, row.day, age, frozenset(acknowledged)).encode(header)
        found = EnvelopeHash(row.header, row.letter)
        self._writer.record(
            Kind.ENVELOPE,
            ENVELOPE_FIXED + header.envelope_size,
            chain(_pieces((facts, row.header, row.letter), body, found), [row.trailer]),
        )
        return _Written(envelopes=1, damaged=int(envelope_id(found.digest(), row.trailer) != row.id))

    def _is_still_here(self, ident: bytes) -> bool:
        """Whether it is here now: what all have carried since the snapshot goes with its body."""
        return bool(
            self._server.store.read(
                lambda connection: connection.execute(
                    select(func.count()).select_from(Envelope).where(Envelope.id == ident)
                ).scalar_one()
            )
        )


class _Body:
    """A body that was opened before anything of its record is written: then it stays, also when it is deleted."""

    def __init__(self, blobs: BlobStore, blob: str | None, size: int) -> None:
        self.is_there = True
        self._first = b""
        self._rest: Iterator[bytes] = iter(())
        if not size:
            return
        self.is_there = blob is not None and blobs.size(blob) == size
        if blob is not None and self.is_there:
            self._rest = blobs.read(blob, 0, size)
            try:
                self._first = next(self._rest)
            except (FileNotFoundError, EOFError):
                self.is_there = False

    def pieces(self) -> Iterator[bytes]:
        """Its bytes."""
        try:
            if self._first:
                yield self._first
            yield from self._rest
        except (FileNotFoundError, EOFError):
            raise InputRefused("backing up: Envelopes were acknowledged while they were read; back up again") from None


def _pieces(begin: tuple[bytes, ...], body: _Body, found: EnvelopeHash) -> Iterator[bytes]:
    """The bytes of a record; ``found`` learns the parts as they pass."""
    yield from begin
    buffer = bytearray()
    for piece in body.pieces():
        yield piece
        buffer += piece
        while len(buffer) >= ENVELOPE_PART_SIZE:
            found.add(bytes(buffer[:ENVELOPE_PART_SIZE]))
            del buffer[:ENVELOPE_PART_SIZE]
    if buffer:
        found.add(bytes(buffer))
