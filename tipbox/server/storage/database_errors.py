"""What a database's errors mean, and what to do about each. No message repeats an address, a user or a password."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError

from tipbox.errors import Full, InputRefused, TipboxError

_SQLITE_NO_ROOM: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)
BAD_CERTIFICATE: Final = (
    "its certificate is not accepted: it has expired, is of another name, or of an authority that is not known here; "
    "look at its dates and name, at this machine's clock, and at the authority's certificate (--stores-ca)"
)
_NO_ROOM: Final = "the disk is full; make room and run this again"
_POSTGRESQL_NO_ROOM: Final = frozenset({"53100", "53000"})
_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: "another process holds the database; try again when it has ended",
    sqlite3.SQLITE_CANTOPEN: "SQLite cannot open its file; run this as the user whom the folder belongs to",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; restore the backup",
    sqlite3.SQLITE_NOTADB: "the file is not a database; restore the backup",
    sqlite3.SQLITE_PERM: "SQLite may not open its file; run this as the user whom the folder belongs to",
    sqlite3.SQLITE_READONLY: "the database can only be read; run this as the user whom the folder belongs to",
}
"""By primary result code."""
_PRIMARY: Final = 0xFF
_POSTGRESQL: Final = {
    "25006": "PostgreSQL takes no writes; it is a standby, or was set so: name the primary in database.url",
    "25P03": "PostgreSQL ended a transaction that stood still; look why this host was that slow, and try again",
    "28": "PostgreSQL does not let this user in; check user and password in database.url",
    "3D": "PostgreSQL has no database of this name; make it with createdb, or correct database.url",
    "42501": "this user may not change the tables; give it the database with ALTER DATABASE … OWNER TO …",
    "53300": "PostgreSQL has no connection to spare; raise its max_connections",
    "57": "PostgreSQL ended the connection or the statement; look into its log, and try again",
    "57P03": "PostgreSQL is starting or stopping; try again",
    # What two processes that make the same tables at the same time bring upon each other.
    "23505": "another process makes the tables at the same time; start again",
    "40": "another process changes the tables at the same time; start again",
    "42710": "another process makes the tables at the same time; start again",
    "42P07": "another process makes the tables at the same time; start again",
}
"""By SQLSTATE, or by its class: the first two characters."""
_TOO_MANY: Final = ("too many clients", "too many connections", "remaining connection slots")
"""PostgreSQL's words for the same, in English."""


_NOT_THE_PROGRAM: Final = frozenset({*_SQLITE, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL})
"""Primary result codes of SQLite that files, disks and other processes bring; all others are bugs."""
_NOT_THE_PROGRAM_STATES: Final = frozenset({"08", "25006", "25P03", "28", "3D", "53", "57", "58", "XX"})
"""The same of PostgreSQL: SQLSTATEs, or their classes."""


def no_room(error: Exception | None) -> bool:
    """Whether a driver's error says that the disk is full."""
    code = getattr(error, "sqlite_errorcode", None) or getattr(error, "sqlstate", None)
    return code in _SQLITE_NO_ROOM or code in _POSTGRESQL_NO_ROOM


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Raise what files, disks and other processes did to the database as ``explain`` says it; bugs stay as they are."""
    try:
        yield
    except Full as error:
        if error.args != Full().args:
            raise
        # The store's own: to a source it says no more, and an operator must know which disk it is.
        raise Full(f"{doing}: {_NO_ROOM}") from None
    except (DBAPIError, sqlite3.Error) as error:
        if _is_of_the_program(error):
            raise
        raise explain(doing, error) from None


def _is_of_the_program(error: DBAPIError | sqlite3.Error) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & _PRIMARY not in _NOT_THE_PROGRAM
    state = getattr(cause, "sqlstate", None)
    if state is None:  # libpq gives none for a connection that was lost
        return not isinstance(error, OperationalError)
    return state not in _NOT_THE_PROGRAM_STATES and state[:2] not in _NOT_THE_PROGRAM_STATES


def explain(doing: str, error: SQLAlchemyError | sqlite3.Error) -> TipboxError:
    """A database's error as one that says what is wrong and what to do.

    Args:
        doing: what was being done, such as ``migrating the database``.
        error: SQLAlchemy's, around a driver's; or SQLite's own.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, Exception) and no_room(cause):
        return Full(f"{doing}: {_NO_ROOM}")
    return InputRefused(f"{doing}: {_sentence(cause, error)}")


def _sentence(cause: BaseException | None, error: Exception) -> str:
    if isinstance(cause, sqlite3.Error):
        name = getattr(cause, "sqlite_errorname", type(cause).__name__)
        primary = getattr(cause, "sqlite_errorcode", 0) & _PRIMARY
        return _SQLITE.get(primary, f"SQLite reports {name}; run tipbox server check, or restore the backup")
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        default = f"PostgreSQL reports the error {state}; its own log says more"
        return _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2], default)
    if isinstance(error, ProgrammingError):
        # libpq reads the address before it connects, and psycopg has this class for what it cannot read.
        return "PostgreSQL's library does not know an option in database.url or its value; correct what follows the ?"
    if isinstance(error, DBAPIError):
        # libpq gives no SQLSTATE for a connection that was not made; only a server that answered says FATAL.
        if any(words in str(cause) for words in _TOO_MANY):
            return _POSTGRESQL["53300"]
        if "FATAL" in str(cause):
            return "PostgreSQL refused the connection; check user, password and name of the database in database.url"
        # OpenSSL's word for an unknown authority, and libpq's for another name.
        if "certificate" in str(cause):
            return f"PostgreSQL answers, but {BAD_CERTIFICATE}"
        return "PostgreSQL does not answer; check that it runs, and host and port in database.url"
    return f"the database does not work ({type(error).__name__}); check database.url"
