"""Looking after a server: is everything in its folder as it should be, and what to do if not."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, func, inspect, literal, select, text
from sqlalchemy.orm import InstrumentedAttribute

from tipbox.errors import NotFound, TipboxError
from tipbox.files.printable import printable
from tipbox.formats.base import padding
from tipbox.resources import available_languages
from tipbox.server.served_files import ReadNotices, ServedFiles
from tipbox.server.storage.database_errors import explained
from tipbox.server.storage.decoys import try_to_write
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.identity import must_be_ours
from tipbox.server.storage.models import (
    Base,
    DayCount,
    Draft,
    Envelope,
    InwardBundle,
    Ledger,
    Organisation,
    Reply,
    ReplyOpening,
    Run,
)
from tipbox.server.storage.open_server import OpenServer, open_server
from tipbox.server.storage.organisations import in_force
from tipbox.server.storage.sweep import which_are_named
from tipbox.server.upkeep.check_rates import rates
from tipbox.server.upkeep.finding import Finding
from tipbox.server.upkeep.hosts import compare_hosts
from tipbox.server.upkeep.settle import last_settled

Check = Callable[[OpenServer, date], Finding]
WARN_DAYS: Final = 14
"""A manifest that ends sooner is reported."""
SETTLE_DAYS: Final = 2
SECOND_DAYS: Final = 30
"""One night may fail; after the second, somebody must look."""
_MAKE_ROOM: Final = (
    "export, carry, and import the acknowledgements; move away what is not tipbox's, or give the server a larger disk"
)
_FOLLOW: Final = "follow the sentence, then check again"
_DAYS: Final = (DayCount.day, Envelope.day)
_NAME_BYTES: Final = 16
"""Of which the name of a blob is made."""
_SAMPLE: Final = 10_000
"""Of each kind: enough to find a disk that loses files, and few enough for a large server. Up to so many all are."""


def check_server(home: Path, *, more: Sequence[Check] = (), today: date | None = None) -> list[Finding]:
    """All checks of the server in ``home``; it may be running. Nothing is changed: what is written to try it is undone.

    A check that cannot run is a finding, not an error.

    Args:
        home: the server's folder.
        more: checks that follow those of this module (``check_headers`` loads Flask, which a restore need not).
        today: the day, UTC.

    Raises:
        NotFound: no server has run there.
    """
    try:
        with open_server(home) as server:
            return check_open_server(server, today or server.today(), more)
    except NotFound:
        raise
    except TipboxError as error:
        return [Finding("server", ok=False, message=str(error), remedy=_FOLLOW, wrong=None)]


def check_open_server(server: OpenServer, today: date, more: Sequence[Check] = ()) -> list[Finding]:
    """``check_server`` on a server that is open."""
    return [_guarded(check, server, today) for check in (*_CHECKS, *more)]


def _guarded(one: Check, server: OpenServer, today: date) -> Finding:
    name = one.__name__.removeprefix("_")
    try:
        with explained("using the database"):
            return one(server, today)
    except TipboxError as error:
        return Finding(name, ok=False, message=f"the check failed: {error}", remedy=_FOLLOW, wrong=None)
    except OSError as error:
        message = f"the check failed: {printable(str(error.filename or 'a file'))}: {error.strerror}"
        remedy = "look who changed owner or mode there, and run this as the server's user"
        return Finding(name, ok=False, message=message, remedy=remedy, wrong=None)
    except Exception as error:  # noqa: BLE001 (a finding is better than a traceback)
        message = f"the check failed: {type(error).__name__}"
        return Finding(name, ok=False, message=message, remedy="this is a bug: report it with this line", wrong=None)


def _modes(server: OpenServer, _today: date) -> Finding:
    home = server.home
    open_to_others = [
        path.name
        for path in (home.path, home.blobs, home.keys, home.database)
        if path.exists() and path.stat().st_mode & home.umask
    ]
    if home.server_key.stat().st_mode & 0o077:
        open_to_others.append(home.server_key.name)
    whom = "go" if home.umask & 0o070 else "o"
    return Finding(
        "modes",
        not open_to_others,
        f"open to other users: {', '.join(open_to_others)}" if open_to_others else "only the server can read HOME",
        f"chmod -R {whom}-rwx {home.path}; chmod 600 {home.server_key}" if open_to_others else "",
        wrong=len(open_to_others),
    )


def _database(server: OpenServer, _today: date) -> Finding:
    there = server.store.read(lambda connection: set(inspect(connection).get_table_names()))
    if missing := Base.metadata.tables.keys() - there:
        return Finding(
            "database",
            ok=False,
            message=f"tables are missing, and somebody removed them: {', '.join(sorted(missing))}",
            remedy="stop the server and restore the backup",
            wrong=len(missing),
        )
    if server.store.engine.dialect.name != "sqlite":
        try_to_write(server.store.engine)
        return Finding("database", ok=True, message="PostgreSQL answers, and takes what is written")
    # Not integrity_check, which compares all indexes with their tables and takes far longer.
    found = server.store.read(lambda connection: connection.execute(text("PRAGMA quick_check(1)")).scalar_one())
    return Finding(
        "database",
        found == "ok",
        "the database is whole" if found == "ok" else "the database is damaged",
        "" if found == "ok" else "stop the server and restore the backup",
    )


def _blobs(server: OpenServer, _today: date) -> Finding:
    if not server.blobs.local:
        # First: whatever else answers there has none of the bodies, and then they would be called lost.
        server.store.read(lambda connection: must_be_ours(connection, server.blobs))
        with server.blobs.create() as tried:  # a bucket may hand out everything, and take nothing more
            tried.write(b"tipbox")
            tried.keep(tried.size)
            tried.discard()
    damaged = sum(_count_damaged(server, chosen, name) for chosen, name in _NAMED)
    return Finding(
        "blobs",
        not damaged,
        f"{damaged} bodies are gone or cut" if damaged else "every body is there",
        "restore the backup; organisations that have not carried them lose these Envelopes otherwise"
        if damaged
        else "",
        wrong=damaged,
    )


_NAMED: Final[tuple[tuple[Any, InstrumentedAttribute[Any]], ...]] = (
    (select(Envelope.blob, Envelope.body_size, literal(0)).where(Envelope.blob.is_not(None)), Envelope.blob),
    (
        select(Reply.blob, literal(None), Reply.size - func.coalesce(func.length(ReplyOpening.opening), 0))
        .outerjoin(ReplyOpening, (ReplyOpening.mailbox == Reply.mailbox) & (ReplyOpening.id == Reply.id))
        .where(Reply.blob.is_not(None)),
        Reply.blob,
    ),
    (select(Run.blob, literal(None), literal(None)).distinct(), Run.blob),
)
"""Names of blobs, by their index, with the bytes of the body that lies there, or of all that lies there."""


def _count_damaged(server: OpenServer, chosen: Any, name: InstrumentedAttribute[Any]) -> int:
    """How many of a sample are gone, or have another size than their row says."""
    rows = server.store.read(lambda connection: _some(connection, chosen, name))
    sizes = {row[0]: padding.sealed_body_size(row[1]) if row[1] is not None else row[2] for row in rows}
    found = server.blobs.sizes(list(sizes))
    damaged = [blob for blob, size in found.items() if size is None or sizes[blob] not in {None, size}]
    # Whose row has gone meanwhile, as when an acknowledgement came, went with it.
    return len(server.store.read(lambda connection: which_are_named(connection, damaged)))


def _some(connection: Connection, chosen: Any, name: InstrumentedAttribute[Any]) -> Sequence[Any]:
    """All where there are few; else those from a random name on, so that one night or another each is looked at."""
    lowest = connection.execute(chosen.order_by(name).limit(_SAMPLE + 1)).all()
    if len(lowest) <= _SAMPLE:
        return lowest
    begin = secrets.token_hex(_NAME_BYTES)
    rows = connection.execute(chosen.where(name >= begin).order_by(name).limit(_SAMPLE)).all()
    return [*rows, *lowest[: _SAMPLE - len(rows)]]


def _ledger(server: OpenServer, _today: date) -> Finding:
    (bodies, replies), sizes, shares, held = server.store.read(
        lambda connection: (
            connection.execute(select(Ledger.body_bytes, Ledger.reply_bytes)).one(),
            connection.execute(
                select(Envelope.body_size).where(Envelope.blob.is_not(None)).order_by(Envelope.blob).limit(_SAMPLE + 1)
            ).scalars(),
            connection.execute(select(Organisation.id, Organisation.reply_bytes)).all(),
            connection.execute(select(Reply.organisation, Reply.size).limit(_SAMPLE + 1)).all(),
        )
    )
    of_bodies = [padding.sealed_body_size(size) for size in sizes]
    of_each = dict.fromkeys((row[0] for row in shares), 0)
    for organisation, size in held:
        of_each[organisation] += size
    right = (
        _agrees(bodies, sum(of_bodies), len(of_bodies))
        and _agrees(replies, sum(of_each.values()), len(held))
        and replies == sum(row[1] for row in shares)
        and all(_agrees(share, of_each[organisation], len(held)) for organisation, share in shares)
    )
    return Finding(
        "ledger",
        right,
        "the count of stored bytes is right" if right else "the count of stored bytes is wrong",
        "" if right else "report this: it is a bug of tipbox",
    )


def _agrees(counted: int, found: int, rows: int) -> bool:
    """Whether a count may be right by the rows that were added up: all of them, or the first of too many."""
    return counted == found if rows <= _SAMPLE else counted >= found


def _clock(server: OpenServer, today: date) -> Finding:
    last, held = server.store.read(lambda connection: connection.execute(select(Ledger.last_day, Ledger.held)).one())
    return Finding(
        "clock",
        not held,
        f"the clock jumped; it says {today} (UTC), and nothing is pruned" if held else f"the last day seen is {last}",
        "set the clock right, then tipbox server prune --confirm-clock" if held else "",
    )


def _settled(server: OpenServer, today: date) -> Finding:
    """Without the nightly settle, closed days keep their order and times on the disk."""
    last = last_settled(server.home)
    # Whether there is any, and not which is the first of all: for that every row would be read.
    before = today if last else today - timedelta(days=SETTLE_DAYS)
    found = server.store.read(lambda connection: any(_is_any_before(connection, day, before) for day in _DAYS))
    late = found and (last is None or (today - last).days > SETTLE_DAYS)
    remedy = "tipbox server settle, and find out why the nightly run failed"
    return _first(
        "settled",
        (late and last, f"closed days were settled last on {last}, and still show order and times", remedy),
        (late, "closed days were never settled, and show order and times", remedy),
        (last, f"closed days were settled on {last}", ""),
        (True, "there is no closed day to settle yet", ""),
    )


def _is_any_before(connection: Connection, day: InstrumentedAttribute[date], before: date) -> bool:
    return connection.execute(select(literal(1)).where(day < before).limit(1)).first() is not None


def _manifests(server: OpenServer, today: date) -> Finding:
    troubles = list(_manifest_troubles(server, today))
    return Finding(
        "manifests",
        not troubles,
        "; ".join(troubles) if troubles else "every organisation has a valid key",
        "import the organisation's next outbox, or put its new manifest into --keys and start again"
        if troubles
        else "",
    )


def _manifest_troubles(server: OpenServer, today: date) -> Iterator[str]:
    for listed in server.store.read(in_force):
        manifest = listed.manifest
        days_left = (manifest.end - today).days
        if not listed.serves(today):
            yield f"{manifest.organisation} has no valid key"
        elif days_left < WARN_DAYS:
            yield f"the manifest of {manifest.organisation} ends in {days_left} days"


def _site(server: OpenServer, _today: date) -> Finding:
    """Whoever verifies the pages verifies the keys, but only those that the organisations signed are their own word."""
    listed = ServedFiles.load(server.home).site
    if listed is None:
        return Finding(
            "site",
            ok=True,
            message="pages name whoever has a manifest in force: no organisation has signed a site list (site.json)",
        )
    in_pages = {entry.identity for entry in listed.entries}
    present = {member.manifest.identity: member.manifest.organisation for member in server.store.read(in_force)}
    troubles = {
        "not signed by": listed.unsigned,
        "without a manifest in force": [
            entry.organisation for entry in listed.entries if entry.identity not in present
        ],
        "without a place in it, so no page offers them": [
            name for identity, name in present.items() if identity not in in_pages
        ],
        "in a language that is not offered": [] if listed.language in available_languages() else [listed.language],
    }
    told = [f"{what}: {', '.join(names)}" for what, names in troubles.items() if names]
    return Finding(
        "site",
        not told,
        f"the site list is not as it should be ({'; '.join(told)})" if told else "every organisation signed its entry",
        "make site.json anew with tipbox server site, and restart" if told else "",
        wrong=len(told),
    )


def _notices(server: OpenServer, today: date) -> Finding:
    """Of those that nobody is shown, why; that a day is over, or still to come, is no trouble."""
    read = ReadNotices.of(server.home.notices)
    desks = {
        (member.manifest.id, member.manifest.desk) for member in server.store.read(in_force) if member.serves(today)
    }
    refused = dict(read.refused)
    for name, notice in read.good.items():
        if (notice.organisation, notice.desk) not in desks:
            refused[name] = "it is signed by no desk key of a manifest in force"
    told = "; ".join(f"{printable(name)}: {why}" for name, why in sorted(refused.items()))
    return Finding(
        "notices",
        not refused,
        f"notices that nobody is shown: {told}" if refused else "every notice is one of an organisation here",
        "ask the organisation for it again, or take it away" if refused else "",
        wrong=len(refused),
    )


def _hosts(server: OpenServer, _today: date) -> Finding:
    return server.store.read(compare_hosts)


def _twice(server: OpenServer, today: date) -> Finding:
    """Who has the server's key can write Bundles in a desk's name: of two under one number, one is not the desk's."""
    recent = InwardBundle.second > today - timedelta(days=SECOND_DAYS)
    found = server.store.read(
        lambda connection: connection.execute(
            select(Organisation.id, InwardBundle.sequence)
            .join(Organisation)
            .where(recent)
            .order_by(InwardBundle.second)
        ).all()
    )
    names = {listed.manifest.id: listed.manifest.organisation for listed in server.store.read(in_force)}
    told = ", ".join(f"number {sequence} of {names.get(ident, 'a former organisation')}" for ident, sequence in found)
    return _first(
        "twice",
        (
            found,
            f"a second Bundle came from a desk under a number that was taken: {told}",
            "ask the desk whether it was put back from a copy; if it was not, somebody has this server's key",
        ),
        (True, f"no desk's number was used twice in the last {SECOND_DAYS} days", ""),
    )


def _room(server: OpenServer, _today: date) -> Finding:
    disk = Disk.of(server.home.path, holds_bodies=server.blobs.local)
    quota = server.config.quota
    stored, replies, announced = server.store.read(
        lambda connection: (
            *connection.execute(select(Ledger.body_bytes, Ledger.reply_bytes)).one(),
            int(connection.execute(select(func.coalesce(func.sum(Draft.body_size), 0))).scalar_one()),
        )
    )
    nearly = quota.reply_bytes - quota.reply_bytes // 10
    return _first(
        "room",
        (disk.free < disk.floor, "the disk is full: nothing is taken in", _MAKE_ROOM),
        (
            server.blobs.local and disk.free < disk.floor + disk.reserve(quota) // 10,
            "the disk is nearly full: files are refused, and few more texts find room",
            _MAKE_ROOM,
        ),
        (
            server.blobs.local and disk.free < disk.reserve(quota),
            "the disk has come into the room that is kept for texts: files are refused, texts are taken",
            _MAKE_ROOM,
        ),
        (
            stored + announced >= quota.carry_capacity,
            "couriers have more to carry than they can: files are refused, texts are taken",
            "export, carry, and import the acknowledgements",
        ),
        (
            replies >= nearly,
            "replies have nearly reached their quota: some are returned to their desks",
            "raise quota.reply_bytes if the disk has room, or wait until sources read and delete",
        ),
        (True, "there is room", ""),
    )


def _first(name: str, *cases: tuple[object, str, str]) -> Finding:
    """The first case (condition, message, remedy) whose condition holds; one with a remedy is not well."""
    message, remedy = next((message, remedy) for condition, message, remedy in cases if condition)
    return Finding(name, not remedy, message, remedy)


_CHECKS: Final = (
    _modes,
    _database,
    _blobs,
    _ledger,
    _clock,
    _settled,
    _manifests,
    _site,
    _notices,
    _hosts,
    rates,
    _twice,
    _room,
)
