"""The nightly settle: what closed days leave on the disk shows neither their order nor their times.

The database is rewritten in place (docs/decisions/0006): every table in the order of its keys, which are random, pages
one after the other, nothing between them, no log beside it. A blob that was written on a closed day is copied, in
random order, to a new file in another folder, with one time for all; the first file goes once the copy is durable. So
a crash at any point leaves each blob there once, or twice with the same bytes. Folders get the time of the settle, or
they would show when the last file in them went. Envelopes that no export has stamped yet are stamped, or those that
came before the last export of a day would show. Everything runs beside the server.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from tipbox.errors import Full, Malformed
from tipbox.files.durable import TEMPORARY_SUFFIX, fsync_folder, replacing, write_file
from tipbox.formats.base import days
from tipbox.server.bundles import kept_exports
from tipbox.server.bundles.export import stamp_all
from tipbox.server.home import Home
from tipbox.server.storage.blobs import PIECE, READ_NEVER, SETTLED, LocalBlobs, only_reader, open_plain
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.open_server import OpenServer, open_server
from tipbox.server.storage.sweep import sweep
from tipbox.server.storage.transactions import Store
from tipbox.server.upkeep import upkeep_lock

ONE_TIME: Final = (READ_NEVER, 0)
"""When a settled file says that it was read and changed."""
_VACUUM_COPIES: Final = 2
"""VACUUM writes the database into a temporary file, and from there into the log."""


@dataclass(frozen=True)
class SettleResult:
    """What was settled.

    Attributes:
        blobs: files that were copied.
        remaining: files that stay as they are until there is room or nobody uses them.
        removed: loose files and stale exports that went.
        database: whether the database was rewritten; False on PostgreSQL.
        is_complete: whether the closed days show neither order nor time now.
    """

    blobs: int
    remaining: int
    removed: int
    database: bool
    is_complete: bool


def settle_server(home: Path, *, today: date | None = None) -> SettleResult:
    """Settle the server in ``home``; it may be running.

    Args:
        home: the server's folder.
        today: the day, UTC; the days before it are closed.

    Raises:
        Full: there is no room to rewrite the database; it stays as it was.
    """
    with open_server(home) as server, upkeep_lock.alone(server):
        return settle_open_server(server, today or server.today())


def settle_open_server(server: OpenServer, today: date) -> SettleResult:
    """``settle_server`` on a server that is open."""
    removed = sum(1 for _ in _remove_stale(server.home, today))
    if server.blobs.local:  # else the prune has just looked through the bucket, and nothing there is settled
        removed += sweep(server.store, server.blobs)
    removed += kept_exports.drop_before(server.store, today)
    files = _settle_blobs(server.home, server.blobs, today) if isinstance(server.blobs, LocalBlobs) else _NO_FILES
    if server.blobs.local:
        removed += sweep(server.store, server.blobs)  # a blob that was deleted while it was copied
    stamp_all(server)  # before the rewrite, which leaves nothing of who had a stamp already
    sqlite = server.store.engine.dialect.name == "sqlite"
    rewritten = sqlite and _rewrite_database(server.home, server.store)
    _touch_folders(server.home)
    is_complete = not files.remaining and (rewritten or not sqlite)
    if is_complete:
        write_file(server.home.settled_day, today.isoformat().encode(), server.home.file_mode)
    return SettleResult(files.copied, files.remaining, removed, rewritten, is_complete)


def last_settled(home: Home) -> date | None:
    """The day of the last settle that left nothing; None when there was none."""
    try:
        return days.parse(home.settled_day.read_text(encoding="ascii"))
    except (FileNotFoundError, UnicodeDecodeError, Malformed):
        return None


def closed_before(path: Path, today: date) -> bool:
    """Whether a file was written last on an earlier day (UTC); one that is gone since it was listed was not."""
    try:
        written = path.stat().st_mtime
    except FileNotFoundError:
        return False
    return datetime.fromtimestamp(written, UTC).date() < today


# --- blobs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _SettledFiles:
    """How many files were copied, and how many stay."""

    copied: int
    remaining: int


_NO_FILES: Final = _SettledFiles(0, 0)


def _settle_blobs(home: Home, blobs: LocalBlobs, today: date) -> _SettledFiles:
    """Copy the files of closed days, in random order."""
    folder = home.blobs / SETTLED
    folder.mkdir(mode=0o770 & ~home.umask, exist_ok=True)
    fsync_folder(home.blobs)
    names = [path for path in blobs.unsettled() if closed_before(path, today)]
    # Copied in random order: inodes and places on the disk tell nothing.
    secrets.SystemRandom().shuffle(names)
    remaining = sum(not _settle_blob(path, folder / path.name, home.file_mode) for path in names)
    fsync_folder(home.blobs)
    return _SettledFiles(len(names) - remaining, remaining)


def _settle_blob(path: Path, settled: Path, mode: int) -> bool:
    """Move one file; whether it is done with. One that was deleted since it was listed is."""
    try:
        with only_reader(open_plain(path)) as file:
            size = os.fstat(file.fileno()).st_size
            if settled.exists() and settled.stat().st_size == size:  # a crash came between the copy and the removal
                path.unlink()
                return True
            disk = Disk.of(settled.parent, holds_bodies=True)
            if disk.free - size < disk.floor:
                return False
            with replacing(settled, mode) as out:
                shutil.copyfileobj(file, out, PIECE)
                out.flush()
                # After the last write, which would set the time again.
                os.utime(out.fileno(), ONE_TIME)
            path.unlink()
    except FileNotFoundError:
        return True
    except BlockingIOError:  # a body that has been coming since yesterday, or a sweep
        return False
    return True


def _touch_folders(home: Home) -> None:
    """Take from the folders the second at which the last file in them came or went."""
    for folder in (home.blobs, home.blobs / SETTLED, home.spool, home.outgoing):
        if folder.is_dir():
            os.utime(folder)  # now: whoever may write in a folder may set that, and no other time


# --- what should not be there -----------------------------------------------------------------------------------------


def _remove_stale(home: Home, today: date) -> Iterator[Path]:
    """Remove what a crash left, and exports of earlier days: the next courier gets a new one."""
    yesterday = today - timedelta(days=1)
    for folder, before in (
        (home.path, today),
        (home.keys, today),
        (home.blobs / SETTLED, date.max),  # only a settle writes there
    ):
        for path in folder.glob(f".*{TEMPORARY_SUFFIX}") if folder.is_dir() else ():
            if _remove(path, before):
                yield path
    for path in (*home.spool.iterdir(), *home.outgoing.iterdir()):
        if _remove(path, yesterday):  # others may be in the making
            yield path


def _remove(path: Path, before: date) -> bool:
    """Remove a file or folder that was written last before that day; whether it went."""
    try:
        if not closed_before(path, before):
            return False
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return False
    return True


# --- the database -----------------------------------------------------------------------------------------------------


def _rewrite_database(home: Home, store: Store) -> bool:
    """Rewrite the SQLite file and empty its log; whether the log is empty: a reader can keep it."""
    size = home.database.stat().st_size
    disk = Disk.of(home.path, holds_bodies=True)
    if disk.free - _VACUUM_COPIES * size < disk.floor:
        raise Full("settling: there is no room to rewrite the database; make room on the disk and settle again")
    with store.alone() as connection:
        # VACUUM's copy may be larger than memory, and the unit may write nowhere but in HOME.
        connection.execute("PRAGMA temp_store=FILE")
        connection.execute(f"PRAGMA temp_store_directory='{_quoted(home.spool)}'")
        try:
            _empty_log(connection)
            connection.execute("VACUUM")
        finally:
            connection.execute("PRAGMA temp_store_directory=''")
        # The log now holds all pages in the order in which they were written.
        return _empty_log(connection)


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("'", "''")


def _empty_log(connection: sqlite3.Connection) -> bool:
    """Write the log into the database and cut it to nothing; False when a reader kept it from that."""
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
