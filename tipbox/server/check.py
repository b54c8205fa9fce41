"""Looking after a server: is everything as it should be, and what mends it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select, text

from tipbox import days, padding
from tipbox.errors import NotFound, TipboxError
from tipbox.server.headers import HEADERS
from tipbox.server.models import Draft, Envelope, Ledger, Reply, ReplyOpening, Run
from tipbox.server.opened import Opened, opened
from tipbox.server.quota import Disk
from tipbox.server.roster import read_folder

_UNITS: Final = Path("/etc/systemd/system")
_BY_HAND: Final = "run tipbox-server check by hand to know"
"""A unit that looks at the server has walls around it, which keep other programs from running whole."""
_LARGEST_EXPOSURE: Final = 15
"""Tenths of systemd's measure of exposure that a unit may have."""
_PATIENCE: Final = 30
WARN_DAYS: Final = 14
"""A manifest that ends sooner is worth a word."""
_SAMPLE: Final = 10_000


@dataclass(frozen=True)
class Finding:
    """One check: its name, whether it is well, what was found, and what mends it."""

    check: str
    ok: bool
    message: str
    mend: str = ""

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return asdict(self)


def check(home: Path, *, today: date | None = None) -> list[Finding]:
    """All checks of the server in ``home``; it may be running. Nothing is changed.

    A check that cannot run is a finding, not an error.

    Raises:
        NotFound: no server has run there.
    """
    try:
        with opened(home) as server:
            return check_opened(server, today or days.today())
    except NotFound:
        raise
    except TipboxError as error:
        return [Finding("server", ok=False, message=str(error), mend="follow the sentence, then check again")]


def check_opened(server: Opened, today: date) -> list[Finding]:
    """``check`` on an opened server."""
    return [_guarded(one, server, today) for one in _CHECKS]


def _guarded(one: Callable[[Opened, date], Finding], server: Opened, today: date) -> Finding:
    try:
        return one(server, today)
    except Exception as error:  # noqa: BLE001 (a finding is better than a traceback)
        name = one.__name__.removeprefix("_")
        return Finding(name, ok=False, message=f"the check failed: {type(error).__name__}", mend="see the log")


def _modes(server: Opened, _today: date) -> Finding:
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
        f"open to other users: {', '.join(open_to_others)}" if open_to_others else "only the server can read H",
        f"chmod -R {whom}-rwx {home.path}; chmod 600 {home.server_key}" if open_to_others else "",
    )


def _database(server: Opened, _today: date) -> Finding:
    if server.store.engine.dialect.name != "sqlite":
        server.store.read(lambda connection: connection.execute(select(Ledger.id)).one())
        return Finding("database", ok=True, message="PostgreSQL answers")
    found = server.store.read(lambda connection: connection.execute(text("PRAGMA quick_check(1)")).scalar_one())
    return Finding(
        "database",
        found == "ok",
        "the database is whole" if found == "ok" else "the database is damaged",
        "" if found == "ok" else "stop the server and restore the backup",
    )


def _blobs(server: Opened, _today: date) -> Finding:
    bodies = server.store.read(
        lambda connection: connection.execute(
            select(Envelope.blob, Envelope.body_size).where(Envelope.blob.is_not(None)).limit(_SAMPLE)
        ).all()
    )
    runs = server.store.read(
        lambda connection: connection.execute(select(Run.blob).distinct().limit(_SAMPLE)).scalars().all()
    )
    replies = server.store.read(
        lambda connection: connection.execute(
            select(Reply.blob, Reply.size - func.coalesce(func.length(ReplyOpening.opening), 0))
            .outerjoin(ReplyOpening, (ReplyOpening.mailbox == Reply.mailbox) & (ReplyOpening.id == Reply.id))
            .where(Reply.blob.is_not(None))
            .limit(_SAMPLE)
        ).all()
    )
    hurt = sum(server.blobs.size(blob or "") != padding.sealed_size(size) for blob, size in bodies)
    hurt += sum(server.blobs.size(blob or "") != size for blob, size in replies)
    hurt += sum(server.blobs.size(blob) is None for blob in runs)
    return Finding(
        "blobs",
        not hurt,
        f"{hurt} bodies are gone or cut" if hurt else "every body is there",
        "restore the backup; organisations that have not carried them lose these Envelopes otherwise" if hurt else "",
    )


def _ledger(server: Opened, _today: date) -> Finding:
    bodies, replies, sizes, held = server.store.read(
        lambda connection: (
            *connection.execute(select(Ledger.body_bytes, Ledger.reply_bytes)).one(),
            connection.execute(select(Envelope.body_size).where(Envelope.body_size > 0)).scalars().all(),
            int(connection.execute(select(func.coalesce(func.sum(Reply.size), 0))).scalar_one()),
        )
    )
    right = bodies == sum(padding.sealed_size(size) for size in sizes) and replies == held
    return Finding(
        "ledger",
        right,
        "the count of stored bytes is right" if right else "the count of stored bytes is wrong",
        "" if right else "report this: it is a bug of tipbox",
    )


def _clock(server: Opened, today: date) -> Finding:
    last, held = server.store.read(lambda connection: connection.execute(select(Ledger.last_day, Ledger.held)).one())
    return Finding(
        "clock",
        not held,
        f"the clock jumped; it says {today} (UTC), and nothing is pruned" if held else f"the last day seen is {last}",
        "set the clock right, then tipbox server prune --confirm-clock" if held else "",
    )


def _manifests(server: Opened, today: date) -> Finding:
    troubles = list(_manifest_troubles(server, today))
    return Finding(
        "manifests",
        not troubles,
        "; ".join(troubles) if troubles else "every organisation has a valid key",
        "import the organisation's next outbox, or put its new manifest into --keys and start again"
        if troubles
        else "",
    )


def _manifest_troubles(server: Opened, today: date) -> Iterator[str]:
    for listed in read_folder(server.home.keys):
        manifest = listed.manifest
        left = (manifest.end - today).days
        if not listed.serves(today):
            yield f"{manifest.organisation} has no valid key"
        elif left < WARN_DAYS:
            yield f"the manifest of {manifest.organisation} ends in {left} days"


def _room(server: Opened, _today: date) -> Finding:
    disk = Disk.of(server.home.path, holds_bodies=server.blobs.local)
    quota = server.config.quota
    stored, replies, announced = server.store.read(
        lambda connection: (
            *connection.execute(select(Ledger.body_bytes, Ledger.reply_bytes)).one(),
            int(connection.execute(select(func.coalesce(func.sum(Draft.body_size), 0))).scalar_one()),
        )
    )
    full = disk.free < disk.floor
    carried = stored + announced >= quota.carry_capacity
    answered = replies >= quota.reply_bytes - quota.reply_bytes // 10
    return Finding(
        "room",
        not (full or carried or answered),
        "the disk is full: nothing is taken in"
        if full
        else "couriers have more to carry than they can: files are refused, texts are taken"
        if carried
        else "replies have nearly reached their quota: some are returned to their desks"
        if answered
        else "there is room",
        "make room on the disk"
        if full
        else "export, carry, and import the acknowledgements"
        if carried
        else "raise quota.reply_bytes if the disk has room, or wait until sources read and delete"
        if answered
        else "",
    )


def _headers(server: Opened, _today: date) -> Finding:
    from tipbox.server.app import STORE, create_app

    app = create_app(server.home, server.config)
    try:
        answer = app.test_client().get("/", headers={"Accept-Language": "en"})
    finally:
        app.extensions[STORE].engine.dispose()
    wrong = [name for name, value in HEADERS.items() if answer.headers.get(name) != value]
    wrong += [f"{name} is sent" for name in ("Set-Cookie", "ETag") if name in answer.headers]
    return Finding(
        "headers",
        not wrong,
        f"missing or other than they must be: {', '.join(wrong)}"
        if wrong
        else "every answer carries the strict headers",
        "install this release again: its program was changed" if wrong else "",
    )


def _tor(_server: Opened, _today: date) -> Finding:
    """Proof of work keeps the onion open under load; a tor without that module takes the setting and does nothing."""
    program = shutil.which("tor") or shutil.which("tor", path="/usr/sbin:/sbin")
    if program is None:
        return Finding("tor", ok=True, message="there is no tor on this machine")
    done = subprocess.run((program, "--list-modules"), capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if not done.stdout.strip():
        return Finding("tor", ok=True, message=f"tor cannot be asked from here; {_BY_HAND}")
    able = "pow: yes" in done.stdout.splitlines()
    return Finding(
        "tor",
        able,
        "tor has proof of work" if able else "this tor has no proof of work: the onion has no defence under load",
        "" if able else "apt-get install tor, 0.4.8 or newer with the module pow (tor --list-modules)",
    )


def _units(_server: Opened, _today: date) -> Finding:
    units = sorted(path.name for path in _UNITS.glob("tipbox*.service"))
    program = shutil.which("systemd-analyze")
    if not units or program is None:
        return Finding("units", ok=True, message="no systemd units of tipbox are installed here")
    threshold = f"--threshold={_LARGEST_EXPOSURE}"
    looked = {
        unit: subprocess.run(
            (program, "security", "--offline=true", "--no-pager", threshold, str(_UNITS / unit)),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        for unit in units
    }
    # It ends with an error for an exposed unit, and also where the walls of a unit keep it from looking at all.
    if not all("exposure level" in done.stdout for done in looked.values()):
        return Finding("units", ok=True, message=f"units cannot be looked at from here; {_BY_HAND}")
    loose = [unit for unit, done in looked.items() if done.returncode]
    return Finding(
        "units",
        not loose,
        f"more exposed than they may be: {', '.join(loose)}" if loose else f"{len(units)} units are hardened",
        "run deploy/install.sh again; systemd-analyze security UNIT says what is open" if loose else "",
    )


_CHECKS: Final = (_modes, _database, _blobs, _ledger, _clock, _manifests, _room, _headers, _tor, _units)
