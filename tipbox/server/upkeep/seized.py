"""What whoever takes the disk of this server finds on it, in plain language and counted from what is really there.

Times are named by the day only, although a disk may show them finer: what this prints may be printed and kept.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, func, select, text

from tipbox.server.config import FILE
from tipbox.server.home import Home
from tipbox.server.storage.blobs import SETTLED, LocalBlobs
from tipbox.server.storage.models import (
    Base,
    DayCount,
    Draft,
    Envelope,
    FinishedToken,
    InwardBundle,
    Ledger,
    Organisation,
    Reply,
    Series,
    Slot,
    StoredVolume,
)
from tipbox.server.storage.open_server import OpenServer, open_server
from tipbox.server.upkeep.settle import last_settled

NEVER_THERE: Final = (
    "The words, files, file names and senders of tips are not on this disk: only sealed bytes, and no address.",
    "For whom a tip is cannot be told: an Envelope has a filled slot for every organisation that its sender knew.",
)
NOT_LOOKED_AT: Final = (
    (
        "This looked at the files of HOME. It did not look at the journal and the unused blocks of the file system, "
        "at swap, at a log of the system or of Tor, at PostgreSQL's or S3's own files, or at copies that the host "
        "keeps: they may show more, also order and time of closed days."
    ),
)


@dataclass(frozen=True)
class SeizedDay:
    """Envelopes of one day: how many have a letter, and a body, of which size in bytes."""

    day: str
    envelopes: int
    letters: dict[int, int]
    bodies: dict[int, int]


@dataclass(frozen=True)
class SeizedOrganisation:
    """What is kept of an organisation. ``carried``: Envelopes that it has acknowledged and that are still here."""

    organisation: str
    id: str
    slots: int
    carried: int
    bundles_out: int
    bundles_in: int


@dataclass(frozen=True)
class SeizureReport:
    """Everything that the disk shows."""

    settled: str | None
    envelopes: list[SeizedDay]
    organisations: list[SeizedOrganisation]
    uploads: dict[str, int]
    """Unfinished uploads by the day on which they were begun."""
    uploads_announced: int
    finished: dict[str, int]
    """Upload tokens (hashed) whose Envelope is stored, by day; not which Envelope."""
    replies: dict[str, int]
    """Sealed replies that wait in mailboxes, by the day on which they were deposited; of which organisation shows."""
    mailboxes: int
    """Mailboxes with a reply. Whose they are, and which Envelope each belongs to, does not show."""
    counted: dict[str, int]
    """Uploads that were begun or stored at once, by day, also those that have gone since."""
    clock: dict[str, Any]
    rows: dict[str, int]
    """Rows of every table."""
    database: dict[str, Any]
    files: dict[str, Any]
    settings: list[str]
    """Names of what the configuration file sets."""
    private_keys: list[str]
    order: list[str] = field(default_factory=list)
    """What shows in which order, or when, things came: one sentence each."""
    never_there: tuple[str, ...] = NEVER_THERE
    not_looked_at: tuple[str, ...] = NOT_LOOKED_AT

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """As sentences, for the screen."""
        yield "Whoever takes this disk finds:"
        yield from self._envelope_lines()
        for seen in self.organisations:
            yield (
                f"  Organisation {seen.organisation} ({seen.id}): has carried {seen.carried} of {seen.slots} Envelopes "
                f"that are still here; which ones is visible. Bundles: {seen.bundles_out} out, {seen.bundles_in} in."
            )
        for day, count in self.uploads.items():
            yield f"  {day}: {count} unfinished uploads were begun."
        if self.uploads:
            yield (
                "  Whoever also has an access code opens what has arrived of its unfinished upload, if its source "
                "asked to continue later; whether one did does not show."
            )
        for day, count in self.finished.items():
            yield f"  {day}: {count} uploads were finished; not which Envelopes they became."
        for day, count in self.replies.items():
            yield f"  {day}: {count} sealed replies came; from which organisation, and into which mailbox, shows."
        if self.mailboxes:
            yield f"  {self.mailboxes} mailboxes hold replies; whose they are, and to which Envelope, does not show."
        for day, count in self.counted.items():
            yield f"  {day}: {count} uploads were begun or stored at once, those that have gone included."
        yield f"  Last day seen {self.clock['last_day']}, {self.clock['days_seen']} days counted."
        yield f"  Settings, with their values: {', '.join(self.settings) or 'none'}."
        yield f"  Private keys: {'; '.join(self.private_keys) or 'none'}."
        yield f"  Files: {', '.join(f'{name} {value}' for name, value in self.files.items())}."
        yield f"  Rows: {', '.join(f'{name} {count}' for name, count in self.rows.items() if count)}."
        yield "Order and time:"
        yield from (f"  {sentence}" for sentence in self.order)
        yield "Not there:"
        yield from (f"  {sentence}" for sentence in self.never_there)
        yield "Not looked at:"
        yield from (f"  {sentence}" for sentence in self.not_looked_at)

    def _envelope_lines(self) -> Iterator[str]:
        for group in self.envelopes:
            yield (
                f"  {group.day}: {group.envelopes} sealed Envelopes; letters of {_sizes(group.letters)}; "
                f"bodies of {_sizes(group.bodies) or 'none'}."
            )


def _sizes(sizes: dict[int, int]) -> str:
    return ", ".join(f"{size:,} bytes ({count})" for size, count in sizes.items())


def report_seized(home: Path, *, today: date | None = None) -> SeizureReport:
    """What the disk of the server in ``home`` shows; the server may be running.

    Raises:
        TipboxError: the server's folder is not right.
    """
    with open_server(home) as server:
        return report_seized_of(server, today or server.today())


def report_seized_of(server: OpenServer, today: date) -> SeizureReport:
    """``report_seized`` on a server that is open."""
    settled = last_settled(server.home)
    with server.store.snapshot() as connection:
        last_day, days_seen, held = connection.execute(select(Ledger.last_day, Ledger.days_seen, Ledger.held)).one()
        database = _database(server, connection)
        found = SeizureReport(
            settled=settled.isoformat() if settled else None,
            envelopes=list(_by_day(connection)),
            organisations=list(_organisations(connection)),
            uploads=_counts(connection, Draft.day, func.count()),
            uploads_announced=int(connection.execute(select(func.coalesce(func.sum(Draft.body_size), 0))).scalar_one()),
            finished=_counts(connection, FinishedToken.day, func.count()),
            replies=_counts(connection, Reply.day, func.count()),
            mailboxes=connection.execute(select(func.count(Reply.mailbox.distinct()))).scalar_one(),
            counted=_counts(connection, DayCount.day, func.sum(DayCount.letters)),
            clock={"days_seen": days_seen, "held": bool(held), "last_day": last_day.isoformat()},
            rows={
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in Base.metadata.sorted_tables
            },
            database=database,
            files=_files(server, connection),
            settings=_settings(server.home),
            private_keys=["the server's own, which open inward Bundles and sign outward ones; no key opens a tip"],
        )
    found.order.extend(_order(server, found, settled, today))
    return found


def _counts(connection: Connection, day: Any, count: Any) -> dict[str, int]:
    rows = connection.execute(select(day, count).group_by(day).order_by(day))
    return {value.isoformat(): int(number) for value, number in rows}


def _by_day(connection: Connection) -> Iterator[SeizedDay]:
    letter = func.length(Envelope.letter)
    rows = connection.execute(
        select(Envelope.day, letter, Envelope.body_size, func.count())
        .group_by(Envelope.day, letter, Envelope.body_size)
        .order_by(Envelope.day, letter, Envelope.body_size)
    ).all()
    for day in dict.fromkeys(row[0] for row in rows):
        letters, bodies = Counter[int](), Counter[int]()
        for _, letter_size, body_size, count in (row for row in rows if row[0] == day):
            letters[letter_size] += count
            if body_size:
                bodies[body_size] += count
        yield SeizedDay(day.isoformat(), letters.total(), dict(sorted(letters.items())), dict(sorted(bodies.items())))


def _organisations(connection: Connection) -> Iterator[SeizedOrganisation]:
    slots: dict[bytes, Counter[bool]] = {}
    for organisation, acknowledged, count in connection.execute(
        select(Slot.organisation, Slot.acknowledged, func.count()).group_by(Slot.organisation, Slot.acknowledged)
    ):
        slots.setdefault(organisation, Counter())[bool(acknowledged)] = count
    bundles_out = _numbers(connection, Series.organisation, func.max(Series.sequence))
    bundles_in = _numbers(connection, InwardBundle.organisation, func.count())
    for organisation, name in connection.execute(
        select(Organisation.id, Organisation.name).order_by(Organisation.name)
    ):
        counted = slots.get(organisation, Counter())
        yield SeizedOrganisation(
            name,
            organisation.hex(),
            counted.total(),
            counted[True],
            bundles_out.get(organisation, 0),
            bundles_in.get(organisation, 0),
        )


def _numbers(connection: Connection, key: Any, number: Any) -> dict[bytes, int]:
    return {row[0]: row[1] for row in connection.execute(select(key, number).group_by(key))}


# --- files ------------------------------------------------------------------------------------------------------------


def _database(server: OpenServer, connection: Connection) -> dict[str, Any]:
    if server.store.engine.dialect.name != "sqlite":
        return {"kind": "postgresql"}
    path = server.home.database
    return {
        "bytes": path.stat().st_size,
        "free_pages": connection.execute(text("PRAGMA freelist_count")).scalar_one(),
        "kind": "sqlite",
        "log_bytes": sum(_size(path.with_name(f"{path.name}-{end}")) for end in ("wal",)),
    }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _files(server: OpenServer, connection: Connection) -> dict[str, Any]:
    home = server.home
    counted = {
        "blobs, unsettled": _count(home.blobs.iterdir()),
        "blobs, settled": _count((home.blobs / SETTLED).glob("*")),
        "spool": _count(home.spool.iterdir()),
        "exports": connection.execute(select(func.count()).select_from(StoredVolume)).scalar_one(),
        "key manifests": _count(home.keys.glob("*.json")),
    }
    if not server.blobs.local:
        counted["blobs in S3"] = 1
    return counted


def _count(paths: Iterable[Path]) -> int:
    return sum(path.is_file() for path in paths)


def _settings(home: Home) -> list[str]:
    path = home.path / FILE
    if not path.exists():
        return []
    return sorted(
        f"{section}.{key}"
        for section, values in tomllib.loads(path.read_text(encoding="utf-8")).items()
        if isinstance(values, dict)
        for key in values
    )


# --- order and time ---------------------------------------------------------------------------------------------------


def _order(server: OpenServer, found: SeizureReport, settled: date | None, today: date) -> Iterator[str]:
    if found.database["kind"] != "sqlite":
        yield "PostgreSQL numbers its transactions: the order of all rows may be read from its files."
    elif settled is None:
        yield "Nothing was ever settled: the order in which all Envelopes came may be read from the database's pages."
    else:
        yield (
            f"Days before {settled} are settled: rows lie in the order of random ids."
            if settled == today
            else f"Settled on {settled} last: the days since may show their order in the database's pages."
        )
    open_rows = sum(group.envelopes for group in found.envelopes if settled and group.day >= settled.isoformat())
    if open_rows and found.database["kind"] == "sqlite":
        yield f"The order of {open_rows} Envelopes that are not settled may be read from the database's pages."
    if found.database.get("log_bytes"):
        yield f"The database's log holds the last changes in their order ({found.database['log_bytes']:,} bytes)."
    if isinstance(server.blobs, LocalBlobs):
        yield from _file_times(server.blobs)
    else:
        yield "S3 keeps the second at which every body was written."
    if found.files["exports"]:
        yield (
            f"{found.files['exports']} volumes of exports show on which day couriers fetched; "
            "what is in them is in random order."
        )
    yield "The files of key manifests, and the server's own, show when they were written."


def _file_times(blobs: LocalBlobs) -> Iterator[str]:
    by_day: Counter[str] = Counter()
    for path in blobs.unsettled():
        try:
            by_day[datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()] += 1
        except FileNotFoundError:
            continue
    for day, count in sorted(by_day.items()):
        yield f"{count} files of bodies and parts show the second of {day} at which they were written, and their order."
    if not by_day:
        yield "All files of bodies and parts are settled: one time of change, made anew in random order."
