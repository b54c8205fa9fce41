"""The database engine: SQLite in HOME, or PostgreSQL by URL; migrations."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote
from weakref import ref

from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from tipbox.errors import InputRefused, Usage
from tipbox.server.config import Config, is_local
from tipbox.server.home import Home
from tipbox.server.storage.database_errors import explain

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

BUSY_SECONDS: Final = 30
MIGRATING: Final = 0x7469_7062_6F78_0001
"""Number of PostgreSQL's advisory lock; nothing else of tipbox has it."""
READ_ONLY: Final = "tipbox_read_only"
_POOL: Final = "tipbox_pool"
"""Under which a connection knows whose it is."""
NOTES_GONE: Final = "tipbox_notes_gone"
"""Of an engine whose bodies lie in a bucket (``let_go``)."""
HEAD: Final = "capsule"
"""The newest revision of the migrations: this version's schema."""
_BEFORE: Final = frozenset({"0001", "0002", "0003", "0004"})
"""Revisions of databases with Envelopes that no desk can open any more."""
_LIBPQ: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Seconds, and milliseconds at last: within a minute, a host notices that PostgreSQL's is gone."""
_KEPT_ALIVE: Final = (("tcp_keepalives_idle", 30), ("tcp_keepalives_interval", 10), ("tcp_keepalives_count", 3))
"""The same on PostgreSQL's side, which drops then what the host had locked; by default that takes two hours."""
_NO_URL: Final = (
    "opening the database: database.url is not postgresql://USER:PASSWORD@HOST:PORT/NAME; correct it, and in its "
    "password write @ as %40 and % as %25"
)
_PRAGMAS: Final = (
    "journal_mode=WAL",  # readers do not wait for the writer, nor it for them
    "synchronous=FULL",  # a commit is on the disk when it returns
    "secure_delete=ON",  # what is deleted is overwritten
    "trusted_schema=OFF",  # a file that somebody changed runs no functions from its schema
    "foreign_keys=ON",  # off by default
    "temp_store=MEMORY",  # sorting leaves nothing on the disk
)


def make_engine(home: Home, config: Config) -> Engine:
    """The engine that the configuration names.

    SQLite's file must be there already (``make_file``) and be no link. SQLite follows links by itself, past what mounts
    forbid, and would make or open a file wherever a process that was broken into wants it.

    Raises:
        InputRefused: it is not there, or a link.
        Usage: the URL is not one of PostgreSQL, or of another machine without TLS.
    """
    engine = _made(home, config)
    engine.update_execution_options(**{NOTES_GONE: bool(config.blobs.url)})
    return engine


def _made(home: Home, config: Config) -> Engine:
    written = config.database.url.get_secret_value()
    if not written:
        if home.database.is_symlink() or not home.database.is_file():
            raise InputRefused(
                f"opening {home.database}: the database is gone, or a link; look who did that, and restore the backup"
            )
        return _sqlite(home.database)
    try:
        url = make_url(written)
    except (ArgumentError, ValueError):  # ValueError: its port is no number
        raise Usage(_NO_URL) from None
    if "@" in (url.host or ""):  # the end of a password, most likely
        raise Usage(_NO_URL)
    if url.get_backend_name() != "postgresql":
        raise Usage("opening the database: database.url must be postgresql://…, or empty for SQLite in HOME")
    if not all(is_local(host) for host in _hosts(url)) and url.query.get("sslmode") != "verify-full":
        raise Usage(
            "opening the database: it is not on this machine, and database.url does not demand TLS; "
            "add ?sslmode=verify-full, and sslrootcert=FILE"
        )
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={name: value for name, value in _LIBPQ.items() if name not in url.query},
        pool_size=2,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    _close_latecomers(engine)
    event.listen(engine, "connect", _keep_alive)
    return engine


def _keep_alive(connection: Any, _record: Any) -> None:
    connection.autocommit = True  # for the session, not for a transaction that is rolled back
    connection.execute("SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _KEPT_ALIVE))
    connection.autocommit = False


def _hosts(url: URL) -> list[str]:
    """Where PostgreSQL is; none for the socket of this machine."""
    named = [url.host or "", *(value for key in ("host", "hostaddr") for value in url.normalized_query.get(key, ()))]
    return [unquote(host) for hosts in named for host in hosts.split(",") if host]


def make_file(home: Home) -> None:
    """Make the SQLite file with the mode of HOME's files; its log gets the same."""
    with suppress(FileExistsError):
        os.close(os.open(home.database, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, home.file_mode))


def _sqlite(path: Path) -> Engine:
    # Never creates the file: make_file does, with the mode of HOME.
    address = f"{path.absolute().as_uri()}?mode=rw"
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        # The pool hands connections from thread to thread, one at a time.
        creator=lambda: sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False),
        hide_parameters=True,
    )
    _close_latecomers(engine)  # first: what _prepare does may wait for a lock
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _close_latecomers(engine: Engine) -> None:
    """Close a connection that comes back after its pool was given up (``dispose``).

    It would lie in that pool, with the values of its statements, until somebody collects garbage.
    """

    def begins(_dialect: Any, record: ConnectionPoolEntry | None, *_arguments: Any) -> None:
        if record is not None:
            record.info[_POOL] = ref(engine.pool)

    def taken(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info.setdefault(_POOL, ref(engine.pool))

    def comes_back(_connection: Any, record: ConnectionPoolEntry) -> None:
        pool = record.info.get(_POOL)  # none of a connection that is lost already
        if pool is not None and pool() is not engine.pool:
            record.close()

    event.listen(engine, "do_connect", begins)  # before it: a way to another machine takes its time
    event.listen(engine, "connect", taken)
    event.listen(engine, "checkin", comes_back)  # codespell:ignore


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where _begin says, not where sqlite3 guesses
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    # IMMEDIATE: a transaction that has read before others wrote could not write any more.
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _alembic(connection: Connection | None = None) -> Any:
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations"))
    config.attributes["connection"] = connection
    return config


def migrate(engine: Engine) -> None:
    """Bring the database to this version's schema, in one transaction.

    Raises:
        InputRefused: it cannot be reached, or is of a newer version.
        Full: its disk has no room.
    """
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # hosts that start at once migrate one after the other
                connection.execute(select(func.pg_advisory_xact_lock(MIGRATING)))
            current = _revision(connection)
            if current != HEAD:
                from alembic import command  # half of what a start would take otherwise

                # Said here: Alembic would only fail to find the revision of a newer version.
                _refuse_newer(current)
                command.upgrade(_alembic(connection), "head")
    except SQLAlchemyError as error:
        raise explain("migrating the database", error) from None


def must_be_current(engine: Engine) -> None:
    """InputRefused, or Full, unless the database can be read and has this version's schema."""
    try:
        with engine.connect() as connection:
            current = _revision(connection)
    except SQLAlchemyError as error:
        raise explain("opening the database", error) from None
    _refuse_before(current)
    if current == HEAD:
        return
    if current is None:
        raise InputRefused(
            "opening the database: it is empty; correct database.url. If it was lost, restore the backup; "
            "a new server makes its tables at its first start"
        )
    from alembic.script import ScriptDirectory  # only now: it takes long to load

    if current not in _revisions(ScriptDirectory.from_config(_alembic())):
        raise InputRefused(
            "opening the database: a newer version of tipbox has migrated it; upgrade tipbox on this host too"
        )
    raise InputRefused("opening the database: it is of another version of tipbox; start tipbox server run once")


def _revision(connection: Connection) -> str | None:
    """The database's revision, None for an empty one: read without Alembic, which takes long to load."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()
    return revision


def _refuse_newer(current: str | None) -> None:
    from alembic.script import ScriptDirectory

    _refuse_before(current)
    if current is not None and current not in _revisions(ScriptDirectory.from_config(_alembic())):
        raise InputRefused("migrating the database: a newer version of tipbox made it; upgrade tipbox")


def _revisions(scripts: ScriptDirectory) -> set[str]:
    """All that this version knows."""
    return {script.revision for script in scripts.walk_revisions()}


def _refuse_before(revision: str | None) -> None:
    """InputRefused for what was made before the formats were settled: no release ever made one."""
    if revision in _BEFORE:
        raise InputRefused(
            "opening the database: it was made by tipbox before its first release, and cannot be read any more; "
            "begin with an empty --home"
        )
