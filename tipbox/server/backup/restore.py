"""Restoring a backup into an empty HOME (``drill`` tries that out).

The file is read twice: the first time to its last byte, so that what was cut off or changed is refused before anything
is written. Then HOME is filled, behind a mark that keeps every other command and the server out until all is there;
after a crash the same command begins again. The rows come in one transaction, after the bodies that they name.

What has happened since the backup: a desk that acknowledged an Envelope then gets it once more, drops it, and
acknowledges it again, for the sequence of the Bundles goes on far ahead of all that it has seen (``fill``). Which
inward Bundles had been taken is not restored, so desks repeat what they have not seen reported.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import date
from pathlib import Path

from sqlalchemy import Engine, func, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from tipbox.errors import InputRefused
from tipbox.files.durable import TEMPORARY_SUFFIX, fsync_folder, write_file
from tipbox.formats.base import days
from tipbox.formats.base.primitives import sha256
from tipbox.server.backup.container import Reader
from tipbox.server.backup.examine import examine_backup
from tipbox.server.backup.fill import RestoreResult, fill_server
from tipbox.server.config import FILE, Config, load
from tipbox.server.home import MODE, Home
from tipbox.server.storage.blobs import open_blobs
from tipbox.server.storage.clock import Calendar, must_agree
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.database_errors import explained
from tipbox.server.storage.identity import must_be_unlabelled, must_be_unserved
from tipbox.server.storage.models import Envelope, Organisation, Server
from tipbox.server.storage.transactions import Store
from tipbox.server.upkeep import upkeep_lock


def restore_backup(
    home: Path,
    seed: bytes,
    file: Path,
    *,
    acks: Sequence[Path] = (),
    onion: Path | None = None,
    today: date | None = None,
) -> RestoreResult:
    """Restore the backup ``file`` into ``home``.

    Args:
        home: an empty folder, or none; it may hold what an operator puts there, which stays: ``tipbox.toml``,
            ``site.json``, ``webcat``, ``notices``, and newer manifests in ``keys``.
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
    with file.open("rb") as source:
        examined = examine_backup(Reader(source, seed), today or days.today())
        folder.path.mkdir(mode=MODE, parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(upkeep_lock.alone_here(folder))
            _must_not_be_served(folder)
            _must_be_empty(folder)
            if onion is not None:
                _must_be_empty_onion(onion, examined.secrets.onion)
            # The folder itself outlives a power cut before anything is in it.
            fsync_folder(folder.path.parent)
            _write_settings(folder, examined.settings)
            config = load(home)
            if config.database.url.get_secret_value():
                store = stack.enter_context(_database(folder, config))
                today = today or Calendar(store)()
            _mark(folder, config)
            source.seek(0)
            day = today or days.today()
            # Before the server is whole: from then on nothing is restored over it.
            if onion is not None:
                write_onion(onion, examined.secrets.onion)
            restored = fill_server(folder, config, Reader(source, seed), examined, today=day, acks=acks)
            # Last: until here every command, and the server, stays out.
            folder.restoring.unlink()
            fsync_folder(folder.path)
    return restored


@contextmanager
def _database(folder: Home, config: Config) -> Iterator[Store]:
    """PostgreSQL, for this host alone: of two that restore into one database, the second finds it used.

    Raises:
        InputRefused: it does not answer, or has another time than this host.
    """
    engine = make_engine(folder, config)
    try:
        with explained("restoring"):
            store = Store(engine)
            must_agree(store)
            with upkeep_lock.alone_on(store, nullcontext()):
                yield store
    finally:
        engine.dispose()


# --- where it goes ----------------------------------------------------------------------------------------------------


def _must_not_be_served(folder: Home) -> None:
    """Before what a restore that was cut off had left is removed: InputRefused when a server may use it by now.

    Since then another host may have been restored into the same database, or the same bucket or mounted folder.
    """
    if not folder.restoring.exists():
        return
    config = load(folder.path)
    must_be_unlabelled(open_blobs(folder, config.blobs))
    if not config.database.url.get_secret_value():
        return
    engine = make_engine(folder, config)
    try:
        with explained("restoring"), engine.connect() as connection:
            if inspect(connection).has_table(Server.__tablename__):
                must_be_unserved(connection)
    finally:
        engine.dispose()


def _must_be_empty(folder: Home) -> None:
    """InputRefused unless nothing is here except settings and manifests, or what a restore that was cut off left."""
    # What a restore that was cut off, or a drill, had in hand.
    for path in (*folder.path.glob(f".*{TEMPORARY_SUFFIX}"), *folder.keys.glob(f".*{TEMPORARY_SUFFIX}")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if folder.restoring.exists():
        _remove_half(folder)
    allowed = {
        path.name for path in (folder.keys, folder.site, folder.webcat, folder.notices, folder.upkeep, folder.restoring)
    } | {FILE}
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
        for parent in reversed(Path(name).parents):  # each with the mode that tor requires
            (folder / parent).mkdir(mode=MODE, exist_ok=True)
        write_file(path, data)
