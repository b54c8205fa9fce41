"""Restoring a backup into an empty H, and trying it out.

The file is read twice: the first time to its last byte, so that what was cut off or changed is refused before anything
is written. Then H is filled, behind a mark that keeps every other command and the server out until all is there; after
a crash the same command begins again. The rows come in one transaction, after the bodies that they name.

What has happened since the backup: a desk that acknowledged an Envelope then gets it once more, drops it, and
acknowledges it again, for the sequence of the Bundles goes on far ahead of all that it has seen (``_AHEAD``). Which
inward Bundles had been taken is not restored, so desks repeat what they have not seen reported.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, delete, func, insert, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from tipbox.errors import InputRefused, Malformed
from tipbox.files.durable import TEMPORARY_SUFFIX, fsync_folder, write_file
from tipbox.formats.base import days
from tipbox.formats.base.limits import MAX_SLOTS, SEALED_PART_SIZE
from tipbox.formats.base.padding import sealed_size
from tipbox.formats.base.primitives import sha256
from tipbox.formats.bundles.bundle import OUTWARD
from tipbox.formats.envelopes.envelope import EnvelopeId
from tipbox.formats.envelopes.header import Header, header_size
from tipbox.formats.manifest import Manifest
from tipbox.server.backup.backup_records import ENVELOPE_FIXED, About, End, EnvelopeFacts, KnownOrganisation, Secrets
from tipbox.server.backup.container import Kind, Reader, Record
from tipbox.server.bundles.importing import Taken, import_opened
from tipbox.server.config import FILE, Blobs, Config, Database, load
from tipbox.server.home import MODE, Home
from tipbox.server.storage import clock, envelope_rows, reply_rows
from tipbox.server.storage.blobs import Incoming, open_blobs
from tipbox.server.storage.database import make_engine, make_file, migrate
from tipbox.server.storage.envelope_rows import EnvelopeRow
from tipbox.server.storage.models import Base, Decoy, DecoyOpening, Envelope, Ledger, Organisation, Series
from tipbox.server.storage.open_server import Opened
from tipbox.server.storage.organisations import Listed, adopt, pin_folder
from tipbox.server.storage.sweep import sweep
from tipbox.server.storage.transactions import Store
from tipbox.server.upkeep import upkeep_lock as upkeep
from tipbox.server.upkeep.check import check_opened
from tipbox.server.upkeep.finding import Finding

_AHEAD: Final = 1000
"""By how much the sequences of Bundles go on after those of the backup: more than were exported since."""
_AHEAD_A_DAY: Final = 50
"""And for each day since, so that a second restore of the same backup is ahead of the first. Desks take 10,000."""
_MIGRATIONS_OWN: Final = frozenset(table.__tablename__ for table in (Ledger, Decoy, DecoyOpening))
"""Tables that the migrations fill."""
_PREFIX: Final = 10
_PIECES: Final = 16
"""Parts of a body in memory at a time."""


@dataclass(frozen=True)
class Examined:
    """A backup that was read to its last byte. ``hurt``: Envelopes that were damaged before they were backed up."""

    about: About
    secrets: Secrets = field(repr=False)
    settings: bytes | None = field(repr=False)
    organisations: tuple[KnownOrganisation, ...]
    manifests: tuple[Listed, ...] = field(repr=False)
    envelopes: int
    hurt: int


@dataclass(frozen=True)
class Restored:
    """What was restored.

    Attributes:
        day: of the backup.
        server: the server's id.
        envelopes: those that are there again.
        expired: those whose announced days have passed since; they are not restored.
        hurt: those that were damaged before they were backed up; they are not restored.
        organisations: how many are known.
        onion_files: how many files of tor's the backup holds.
        taken: what came of each inward Bundle.
        findings: what a check of the restored server says.
    """

    day: date
    server: str
    envelopes: int
    expired: int
    hurt: int
    organisations: int
    onion_files: int
    taken: list[Taken] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def restore(
    home: Path,
    seed: bytes,
    file: Path,
    *,
    acks: Sequence[Path] = (),
    onion: Path | None = None,
    today: date | None = None,
) -> Restored:
    """Restore the backup ``file`` into ``home``.

    Args:
        home: an empty folder, or none; it may hold ``tipbox.toml`` and newer key manifests in ``keys``, which stay.
        seed: the private half of the operator's key.
        file: the backup.
        acks: inward Bundles that were taken since the backup.
        onion: where to write the files of tor's onion services; empty or missing.
        today: the day, UTC.

    Raises:
        InputRefused: the folder is not empty, or the clock is behind the backup.
        TipboxError: the backup was changed, cut off, or sealed to another key; nothing is written.
    """
    folder = Home(home)
    os.umask(folder.umask)
    today = today or days.today()
    with file.open("rb") as source:
        examined = examine(Reader(source, seed), today)
        folder.path.mkdir(mode=MODE, parents=True, exist_ok=True)
        with upkeep.alone(folder):
            _must_be_empty(folder)
            if onion is not None:
                _must_be_empty_onion(onion, examined.secrets.onion)
            fsync_folder(folder.path.parent)
            _write_settings(folder, examined.settings)
            config = load(home)
            _mark(folder, config)
            source.seek(0)
            restored = _fill(folder, config, Reader(source, seed), examined, today=today, acks=acks)
            if onion is not None:
                write_onion(onion, examined.secrets.onion)
            folder.restoring.unlink()
            fsync_folder(folder.path)
    return restored


def drill(home: Path, seed: bytes, file: Path, *, today: date | None = None) -> Restored:
    """Restore the backup ``file`` into a scratch folder in ``home``, check it, and remove it again.

    Whatever ``home`` is configured for, the drill uses SQLite and a local folder.
    """
    os.umask(0o077)
    today = today or days.today()
    home.mkdir(mode=MODE, parents=True, exist_ok=True)
    local = load(home).model_copy(update={"database": Database(), "blobs": Blobs()})
    scratch = Path(tempfile.mkdtemp(prefix=".drill-", suffix=".part", dir=home))
    try:
        with file.open("rb") as source:
            examined = examine(Reader(source, seed), today)
            source.seek(0)
            return _fill(Home(scratch), local, Reader(source, seed), examined, today=today)
    finally:
        shutil.rmtree(scratch)


# --- reading ----------------------------------------------------------------------------------------------------------


def examine(reader: Reader, today: date) -> Examined:
    """Read a backup to its last byte and keep what is small."""
    found: dict[Kind, list[bytes]] = {kind: [] for kind in Kind}
    envelopes = hurt = 0
    for record in reader.records():
        if record.kind is Kind.ENVELOPE:
            taken = read_envelope(reader, record, lambda _: None)
            envelopes += 1
            hurt += taken.hurt
        else:
            found[record.kind].append(record.read())
            _check_count(record.kind, len(found[record.kind]))
    if not found[Kind.SECRETS]:
        raise Malformed("the backup lacks the server's keys")
    about = About.parse(found[Kind.ABOUT][0])
    if about.day > today + timedelta(days=1):
        raise InputRefused(
            f"restoring: this machine says {today}, and the backup was made on {about.day}; set the clock right"
        )
    if End.parse(found[Kind.END][0]).envelopes != envelopes:
        raise Malformed("the backup counts other Envelopes than it holds")
    secrets = Secrets.parse(reader.open_secrets(found[Kind.SECRETS][0]))
    if secrets.keys.id != about.server:
        raise Malformed("the backup holds the keys of another server than it names")
    return Examined(
        about,
        secrets,
        found[Kind.SETTINGS][0] if found[Kind.SETTINGS] else None,
        tuple(KnownOrganisation.parse(data) for data in found[Kind.ORGANISATION]),
        tuple(Listed(Manifest.parse(data), data) for data in found[Kind.MANIFEST]),
        envelopes,
        hurt,
    )


def _check_count(kind: Kind, count: int) -> None:
    if count > (MAX_SLOTS if kind in {Kind.ORGANISATION, Kind.MANIFEST} else 1):
        raise Malformed("the backup has more records of a kind than there may be")


@dataclass(frozen=True)
class _Envelope:
    """An Envelope as it was read from its record."""

    facts: EnvelopeFacts
    header: Header
    letter: bytes = field(repr=False)
    hurt: bool


def read_envelope(reader: Reader, record: Record, take: Callable[[bytes], object]) -> _Envelope:
    """Read one Envelope; ``take`` gets its body in pieces, before it is known whether the Envelope is whole."""
    fixed = reader.exactly(ENVELOPE_FIXED)
    prefix = reader.exactly(_PREFIX)
    header = Header.parse(prefix + reader.exactly(header_size(prefix) - _PREFIX))
    if record.size != ENVELOPE_FIXED + header.envelope_size:
        raise Malformed("an Envelope's record has another size than the Envelope")
    facts = EnvelopeFacts.parse(fixed, header)
    letter = reader.exactly(header.sealed_letter_size)
    found = EnvelopeId(header.encoded, letter)
    for piece in _body(reader, header):
        for at in range(0, len(piece), SEALED_PART_SIZE):
            found.add(piece[at : at + SEALED_PART_SIZE])
        take(piece)
    return _Envelope(facts, header, letter, found.digest() != facts.id)


def _body(reader: Reader, header: Header) -> Iterator[bytes]:
    left = sealed_size(header.body_size)
    while left:
        piece = reader.exactly(min(left, _PIECES * SEALED_PART_SIZE))
        left -= len(piece)
        yield piece


# --- where it goes ----------------------------------------------------------------------------------------------------


def _must_be_empty(folder: Home) -> None:
    """InputRefused unless nothing is here but settings and manifests, or what a restore that was cut off left."""
    # What a restore that was cut off, or a drill, had in hand.
    for path in (*folder.path.glob(f".*{TEMPORARY_SUFFIX}"), *folder.keys.glob(f".*{TEMPORARY_SUFFIX}")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if folder.restoring.exists():
        _remove_half(folder)
    allowed = {FILE, folder.keys.name, folder.upkeep.name, folder.restoring.name}
    there = [path.name for path in folder.path.iterdir() if path.name not in allowed and not _is_empty_folder(path)]
    if there:
        raise InputRefused(
            f"restoring into {folder.path}: it is not empty; name another --home, or move what is there away"
        )


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _remove_half(folder: Home) -> None:
    """Remove what a restore that was cut off had written here; settings and manifests stay."""
    folder.server_key.unlink(missing_ok=True)
    for path in folder.path.glob(f"{folder.database.name}*"):
        path.unlink()
    for path in (folder.blobs, folder.spool, folder.outgoing):
        shutil.rmtree(path, ignore_errors=True)


def _mark(folder: Home, config: Config) -> None:
    """Keep everybody out from here on. The mark names the database that was empty then: only that one is emptied again.

    Raises:
        InputRefused: the database has a server's rows.
    """
    mark = sha256(config.database.url.get_secret_value().encode()).hex().encode()
    if folder.restoring.exists() and folder.restoring.read_bytes() == mark:
        return
    if config.database.url.get_secret_value():
        engine = make_engine(folder, config)
        try:
            _must_have_no_rows(engine)
        finally:
            engine.dispose()
    write_file(folder.restoring, mark, folder.file_mode)


def _must_have_no_rows(engine: Engine) -> None:
    try:
        with engine.connect() as connection:
            known = set(inspect(connection).get_table_names())
            tables = [table for table in (Envelope, Organisation) if table.__tablename__ in known]
            used = any(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)
    except SQLAlchemyError as error:
        raise InputRefused(
            f"restoring: the database does not answer ({type(error).__name__}); check database.url and that it runs"
        ) from None
    if used:
        raise InputRefused("restoring: the database that database.url names is not empty; name an empty one")


def _must_be_empty_onion(folder: Path, files: dict[str, bytes]) -> None:
    for path in folder.rglob("*") if folder.is_dir() else ():
        if path.name.endswith(TEMPORARY_SUFFIX):
            path.unlink()
        elif path.is_file() and files.get(path.relative_to(folder).as_posix()) != path.read_bytes():
            raise InputRefused(
                f"restoring the onion keys: {folder} holds others; name an empty folder, or move them away"
            )


def _write_settings(folder: Home, settings: bytes | None) -> None:
    path = folder.path / FILE
    if settings is not None and not path.exists():
        write_file(path, settings, folder.file_mode)


def write_onion(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files of tor's onion services."""
    folder.mkdir(mode=MODE, parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / name
        for parent in reversed(Path(name).parents):  # each with the mode that tor insists on
            (folder / parent).mkdir(mode=MODE, exist_ok=True)
        write_file(path, data)


# --- filling ----------------------------------------------------------------------------------------------------------


def _fill(
    folder: Home, config: Config, reader: Reader, examined: Examined, *, today: date, acks: Sequence[Path] = ()
) -> Restored:
    folder.make()
    if not config.database.url.get_secret_value():
        make_file(folder)
    engine = make_engine(folder, config)
    try:
        migrate(engine)
        server = Opened(folder, config, Store(engine), open_blobs(folder, config.blobs), examined.secrets.keys)
        server.store.write(clear)
        counts = server.store.write(lambda connection: _Filling(server, connection, examined, today).fill(reader))
        for listed in examined.manifests:
            adopt(folder, server.store, listed, today)
        pin_folder(folder, server.store)
        write_file(folder.server_key, examined.secrets.keys.encode())
        sweep(server.store, server.blobs)
        taken = [_replay(server, path, today) for path in acks]
        return Restored(
            day=examined.about.day,
            server=examined.about.server.hex(),
            envelopes=counts.envelopes,
            expired=counts.expired,
            hurt=examined.hurt,
            organisations=len(examined.organisations),
            onion_files=len(examined.secrets.onion),
            taken=taken,
            findings=check_opened(server, today),
        )
    finally:
        engine.dispose()


def _replay(server: Opened, path: Path, today: date) -> Taken:
    try:
        with path.open("rb") as file:
            return import_opened(server, file, path.name, today)
    except OSError as error:
        return Taken(path.name, refused=[InputRefused(f"reading it: {error.strerror or type(error).__name__}")])


def clear(connection: Connection) -> None:
    """Remove what a restore that was cut off had committed.

    What the migrations put there stays: without its decoys a mailbox with replies would take longer to list than one
    without.
    """
    envelope_rows.delete_all(connection)
    reply_rows.delete_all(connection)
    for table in reversed(Base.metadata.sorted_tables):
        if table.name not in _MIGRATIONS_OWN:
            connection.execute(delete(table))


@dataclass(frozen=True)
class _Counts:
    envelopes: int
    expired: int


class _Filling:
    """The transaction that fills the database, and the bodies that its rows name."""

    def __init__(self, server: Opened, connection: Connection, examined: Examined, today: date) -> None:
        self._server = server
        self._connection = connection
        self._examined = examined
        self._today = today
        self._passed = max(0, (today - examined.about.day).days)
        self._seen = self._passed + server.config.retention.days
        """Days counted: enough that no Envelope came before the first of them."""
        self._known = {one.id for one in examined.organisations}

    def fill(self, reader: Reader) -> _Counts:
        """Read the backup a second time, and store what it holds."""
        for one in self._examined.organisations:
            self._connection.execute(insert(Organisation).values(id=one.id, name=one.name, identity=one.identity))
            sequence = one.sequence + _AHEAD + _AHEAD_A_DAY * self._passed
            self._connection.execute(insert(Series).values(organisation=one.id, direction=OUTWARD, sequence=sequence))
        envelopes = expired = 0
        for record in reader.records():
            if record.kind is not Kind.ENVELOPE:
                record.read()
                continue
            outcome = self._envelope(reader, record)
            envelopes += outcome is True
            expired += outcome is None
        clock.begin(self._connection, self._today, self._seen)
        return _Counts(envelopes, expired)

    def _envelope(self, reader: Reader, record: Record) -> bool | None:
        """Store one Envelope: True; False when it is hurt, None when its days have passed."""
        with ExitStack() as stack:
            incoming: Incoming | None = None

            def take(piece: bytes) -> None:
                nonlocal incoming
                incoming = incoming or stack.enter_context(self._server.blobs.create())
                incoming.write(piece)

            read = read_envelope(reader, record, take)
            outcome = self._judge(read)
            if outcome:
                self._store(read, incoming.keep(incoming.size) if incoming else None)
        return outcome

    def _judge(self, read: _Envelope) -> bool | None:
        if read.facts.age + self._passed >= self._server.config.retention.days:
            return None
        return not read.hurt and {slot.organisation for slot in read.header.slots} <= self._known

    def _store(self, read: _Envelope, blob: str | None) -> None:
        facts = read.facts
        seen_day = self._seen - self._passed - facts.age
        envelope_rows.store(
            self._connection,
            EnvelopeRow(facts.id, facts.day, seen_day, read.header, read.letter, blob, facts.acknowledged),
        )
