"""A folder of backups: one a day, the newest few, none older than tips are kept, and never the room that tips need."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from tipbox.errors import Full, Malformed
from tipbox.files.durable import fsync_folder
from tipbox.formats.base import days
from tipbox.server.backup.create import BackupFacts, make_backup
from tipbox.server.backup.operator_key import PublicKey
from tipbox.server.storage.models import Envelope, Ledger
from tipbox.server.storage.open_server import OpenServer, open_server

_NAME: Final = re.compile(r"tipbox-([0-9-]{10})\.bak", re.ASCII)
_SHARE: Final = 2
"""On the disk of the tips, backups take at most one in this many of the bytes that nothing else has."""


@dataclass(frozen=True)
class MadeBackup:
    """A backup in a folder of backups: its file, and what is in it."""

    path: Path
    facts: BackupFacts


def backup_into(
    home: Path,
    folder: Path,
    to: PublicKey,
    *,
    keep: int,
    onion: Path | None = None,
    credentials: Path | None = None,
    today: date | None = None,
) -> MadeBackup:
    """Write today's backup of the server in ``home`` into ``folder``, and remove those that should not be there.

    Args:
        home: the server's folder.
        folder: where backups lie; nothing else of it is touched.
        to: the operator's public key.
        keep: how many stay.
        onion: as ``make_backup``.
        credentials: as ``make_backup``.
        today: the day, UTC.

    Raises:
        Full: beside the tips there is no room for another backup; the last one stays.
        TipboxError: as ``make_backup``.
    """
    with open_server(home, credentials) as server:
        today = today or server.today()
        size = _expire(server, folder, today)
    out = folder / f"tipbox-{today}.bak"
    _make_room(home, folder, size)
    facts = make_backup(home, out, to, onion=onion, credentials=credentials, today=today, replace=True)
    # Only now that the new one is complete.
    for path in [*_kept(folder)][:-keep]:
        path.unlink()
    fsync_folder(folder)
    return MadeBackup(out, facts)


def _kept(folder: Path) -> Iterator[Path]:
    """The backups of a folder, the oldest first."""
    yield from sorted(path for path in folder.iterdir() if _day(path) is not None)


def _day(path: Path) -> date | None:
    """The day of a backup, by its name; None for other files."""
    named = _NAME.fullmatch(path.name)
    try:
        return days.parse(named[1]) if named else None
    except Malformed:
        return None


def _expire(server: OpenServer, folder: Path, today: date) -> int:
    """Remove those older than tips are kept, unless the clock waits for the operator; the next one's size, about."""
    held, bodies, letters = server.store.read(
        lambda connection: (
            *connection.execute(select(Ledger.held, Ledger.body_bytes)).one(),
            int(connection.execute(select(func.coalesce(func.sum(func.length(Envelope.letter)), 0))).scalar_one()),
        )
    )
    longest = server.config.retention.days
    for path in [] if held else [*_kept(folder)]:
        day = _day(path)
        if day is not None and (today - day).days > longest:
            path.unlink()
    return int(bodies) + int(letters)


def _make_room(home: Path, folder: Path, size: int) -> None:
    """Remove the oldest until another of ``size`` bytes may come; the newest stays.

    Raises:
        Full: it may not come even so.
    """
    share = _SHARE if folder.stat().st_dev == home.stat().st_dev else 1
    kept = [*_kept(folder)]
    while True:
        taken = sum(path.stat().st_size for path in kept)
        if taken + size <= (shutil.disk_usage(folder).free + taken) // share:
            return
        if len(kept) <= 1:
            raise Full(f"backing up: beside the tips there is no room for another backup in {folder}; "
                       "carry what is there away and remove it, or use a larger disk")  # fmt: skip
        kept.pop(0).unlink()
