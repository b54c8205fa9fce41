"""Filling an empty server from a backup: bodies first, then the rows that name them, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, auto
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from tipbox.errors import InputRefused
from tipbox.files.durable import write_file
from tipbox.formats.bundles.bundle import OUTWARD
from tipbox.server.backup.container import Kind, Reader, Record
from tipbox.server.backup.examine import BackupContents, BackupEnvelope, read_envelope
from tipbox.server.bundles.importing import ImportResult, import_opened
from tipbox.server.config import Config
from tipbox.server.home import Home
from tipbox.server.storage import clock, envelope_rows, identity, reply_rows
from tipbox.server.storage.blobs import IncomingBlob, open_blobs
from tipbox.server.storage.database import make_engine, make_file, migrate
from tipbox.server.storage.envelope_rows import EnvelopeRow
from tipbox.server.storage.models import Base, Decoy, DecoyOpening, Ledger, Organisation, Series
from tipbox.server.storage.open_server import OpenServer
from tipbox.server.storage.organisations import adopt, read_folder, remember
from tipbox.server.storage.sweep import sweep
from tipbox.server.storage.transactions import Store, let_stand_still
from tipbox.server.upkeep.check import check_open_server
from tipbox.server.upkeep.finding import Finding

_AHEAD: Final = 1000
"""By how much the sequences of Bundles go on after those of the backup: more than were exported since."""
_AHEAD_A_DAY: Final = 50
"""And for each day since, so that a second restore of the same backup is ahead of the first. Desks take 10,000."""
_MIGRATIONS_OWN: Final = frozenset(table.__tablename__ for table in (Ledger, Decoy, DecoyOpening))
"""Tables that the migrations fill."""


class Outcome(Enum):
    """What becomes of an Envelope of the backup."""

    STORED = auto()
    EXPIRED = auto()
    """Its announced days have passed since."""
    DAMAGED = auto()
    """It was damaged before it was backed up."""


@dataclass(frozen=True)
class RestoreResult:
    """What was restored.

    Attributes:
        day: of the backup.
        server: the server's id.
        envelopes: those that are there again.
        expired: those whose announced days have passed since; they are not restored.
        damaged: those that were so before they were backed up; they are not restored.
        organisations: how many are known.
        onion_files: how many files of tor's the backup holds.
        taken: what came of each inward Bundle.
        findings: what a check of the restored server says.
    """

    day: date
    server: str
    envelopes: int
    expired: int
    damaged: int
    organisations: int
    onion_files: int
    taken: list[ImportResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def fill_server(
    folder: Home, config: Config, reader: Reader, examined: BackupContents, *, today: date, acks: Sequence[Path] = ()
) -> RestoreResult:
    """Make the server in ``folder`` and fill it with what was examined, reading the backup a second time."""
    folder.make()
    if not config.database.url.get_secret_value():
        make_file(folder)
    engine = make_engine(folder, config)
    try:
        migrate(engine)
        server = OpenServer(folder, config, Store(engine), open_blobs(folder, config.blobs), examined.secrets.keys)
        identity.must_be_unlabelled(server.blobs)
        server.store.write(clear)
        counts = server.store.write(lambda connection: _Restorer(server, connection, examined, today).fill(reader))
        # Newer manifests may have been in the folder before the restore; of one serial, what is there stays.
        found = (*read_folder(folder.keys), *examined.manifests)
        for listed in sorted(found, key=lambda member: member.manifest.serial, reverse=True):
            adopt(folder, server.store, listed, today)
        # After the rows: it is by this file that a folder counts as a server's (must_exist).
        write_file(folder.server_key, examined.secrets.keys.encode())
        if server.blobs.local:
            sweep(server.store, server.blobs)
        # Not in a bucket: what a restore that was cut off left there is removed once the bucket is this server's.
        taken = [_replay(server, path, today) for path in acks]
        findings = check_open_server(server, today)
        # Last: it is by the label that a server counts as one that may be running, and nothing is restored over it.
        identity.claim_blobs(server.store, server.blobs)
        return RestoreResult(
            day=examined.about.day,
            server=examined.about.server.hex(),
            envelopes=counts.envelopes,
            expired=counts.expired,
            damaged=examined.damaged,
            organisations=len(examined.organisations),
            onion_files=len(examined.secrets.onion),
            taken=taken,
            findings=findings,
        )
    finally:
        engine.dispose()


def _replay(server: OpenServer, path: Path, today: date) -> ImportResult:
    try:
        with path.open("rb") as file:
            return import_opened(server, file, path.name, today)
    except OSError as error:
        return ImportResult(path.name, refused=[InputRefused(f"reading it: {error.strerror or type(error).__name__}")])


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


class _Restorer:
    """The transaction that fills the database, and the bodies that its rows name."""

    def __init__(self, server: OpenServer, connection: Connection, examined: BackupContents, today: date) -> None:
        self._server = server
        self._connection = connection
        self._examined = examined
        self._today = today
        self._passed = max(0, (today - examined.about.day).days)
        self._seen = self._passed + server.config.retention.days
        """Days counted: enough that no Envelope came before the first of them."""
        self._known = {organisation.id for organisation in examined.organisations}

    def fill(self, reader: Reader) -> _Counts:
        """Read the backup a second time, and store what it holds."""
        if self._connection.dialect.name == "postgresql":  # bodies go to S3 between two rows
            self._connection.execute(select(let_stand_still()))
        in_force = {listed.manifest.id for listed in self._examined.manifests}
        for organisation in self._examined.organisations:
            self._connection.execute(
                insert(Organisation).values(id=organisation.id, name=organisation.name, identity=organisation.identity)
            )
            sequence = organisation.sequence + _AHEAD + _AHEAD_A_DAY * self._passed
            self._connection.execute(
                insert(Series).values(organisation=organisation.id, direction=OUTWARD, sequence=sequence)
            )
            # Of those in force the manifest itself follows; what is noted without one was removed.
            if organisation.serial is not None and organisation.id not in in_force:
                remember(self._connection, organisation.id, organisation.serial)
        envelopes = expired = 0
        for record in reader.records():
            if record.kind is not Kind.ENVELOPE:
                record.read()
                continue
            outcome = self._envelope(reader, record)
            envelopes += outcome is Outcome.STORED
            expired += outcome is Outcome.EXPIRED
        clock.begin(self._connection, self._today, self._seen)
        identity.note(self._connection, self._examined.secrets.keys)
        return _Counts(envelopes, expired)

    def _envelope(self, reader: Reader, record: Record) -> Outcome:
        """Store one Envelope, unless it is damaged or its days have passed."""
        with ExitStack() as stack:
            incoming: IncomingBlob | None = None

            def take(piece: bytes) -> None:
                nonlocal incoming
                incoming = incoming or stack.enter_context(self._server.blobs.create(at_once=True))
                incoming.write(piece)

            read = read_envelope(reader, record, take)
            outcome = self._judge(read)
            if outcome is Outcome.STORED:
                self._store(read, incoming.keep(incoming.size) if incoming else None)
        return outcome

    def _judge(self, read: BackupEnvelope) -> Outcome:
        if read.facts.age + self._passed >= self._server.config.retention.days:
            return Outcome.EXPIRED
        known = {slot.organisation for slot in read.header.slots} <= self._known
        return Outcome.STORED if known and not read.damaged else Outcome.DAMAGED

    def _store(self, read: BackupEnvelope, blob: str | None) -> None:
        facts = read.facts
        seen_day = self._seen - self._passed - facts.age
        envelope_rows.store(
            self._connection,
            EnvelopeRow(read.end, facts.day, seen_day, read.header, read.letter, blob, facts.acknowledged),
        )
