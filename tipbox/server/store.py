"""Transactions: each is whole or not there, durable when it returns, and shares its fsync with those beside it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError

from tipbox.errors import Full
from tipbox.server.database import READ_ONLY
from tipbox.server.models import Ledger
from tipbox.server.threads import Here, Outcome, Threads

T = TypeVar("T")
Work = Callable[[Connection], Any]
_NO_ROOM: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)
_POSTGRESQL_NO_ROOM: Final = frozenset({"53100", "53000"})
DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Store:
    """Runs work in transactions. Work must have no effect but on its connection: it may be run again."""

    def __init__(self, engine: Engine, threads: Threads | None = None) -> None:
        self.engine = engine
        self._reader = engine.execution_options(**{READ_ONLY: True})
        threads = threads or Here()
        self._call = threads.grouped(self._run)

    def write(self, work: Callable[[Connection], T]) -> T:
        """``work`` in a transaction of its own, durable on return.

        Raises:
            Full: the database's disk has no room; nothing of this transaction is kept.
        """
        return cast("T", self._result(self._call((True, work))))

    def read(self, work: Callable[[Connection], T]) -> T:
        """``work`` that changes nothing."""
        return cast("T", self._result(self._call((False, work))))

    @staticmethod
    def _result(outcome: Outcome) -> Any:
        value, error = outcome
        if error is not None:
            raise error
        return value

    def _run(self, items: Sequence[tuple[bool, Work]]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        writes = [(place, work) for place, (writes, work) in enumerate(items) if writes]
        reads = [(place, work) for place, (writes, work) in enumerate(items) if not writes]
        if writes:
            outcomes |= self._run_writes(writes)
        if reads:
            outcomes |= self._run_reads(reads)
        return [outcomes[place] for place in range(len(items))]

    def _run_reads(self, reads: list[tuple[int, Work]]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        with self._reader.connect() as connection:
            for place, work in reads:
                try:
                    outcomes[place] = work(connection), None
                except Exception as error:  # noqa: BLE001 (handed to the one who asked)
                    outcomes[place] = None, _translate(error)
        return outcomes

    def _run_writes(self, writes: list[tuple[int, Work]]) -> dict[int, Outcome]:
        try:
            return self._commit(writes)
        except Exception as error:
            if len(writes) == 1:
                return {writes[0][0]: (None, _translate(error))}
            if not isinstance(error, DBAPIError):
                raise
        # One of them broke the transaction: each gets its own, so the others are not lost with it.
        return {place: outcome for one in writes for place, outcome in self._run_writes([one]).items()}

    def _commit(self, writes: list[tuple[int, Work]]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        with self.engine.connect() as connection, connection.begin():
            if self.engine.dialect.name != "sqlite":  # one writer at a time, as SQLite has it, so that quotas are exact
                connection.execute(select(Ledger.id).with_for_update())
            if len(writes) == 1:
                place, work = writes[0]
                return {place: (work(connection), None)}
            for place, work in writes:
                savepoint = connection.begin_nested()
                try:
                    outcomes[place] = work(connection), None
                    savepoint.commit()
                except DBAPIError:
                    raise
                except Exception as error:  # noqa: BLE001 (handed to the one who asked)
                    savepoint.rollback()
                    outcomes[place] = None, error
        return outcomes


def _translate(error: Exception) -> Exception:
    if isinstance(error, DBAPIError):
        code = getattr(error.orig, "sqlite_errorcode", None) or getattr(error.orig, "sqlstate", None)
        if code in _NO_ROOM or code in _POSTGRESQL_NO_ROOM:
            return Full()
    return error
