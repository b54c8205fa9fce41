"""Transactions: each is whole or not there, durable when it returns, and shares its fsync with those beside it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from sqlalchemy import ColumnElement, Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from tipbox.errors import NO_ROOM, Full
from tipbox.files.durable import fsync_file
from tipbox.files.lock import exclusive
from tipbox.server.storage.database import BUSY_SECONDS, NOTES_GONE, READ_ONLY
from tipbox.server.storage.database_errors import no_room
from tipbox.server.storage.executors import InPlaceThreads, Outcome, Threads
from tipbox.server.storage.models import Ledger


@dataclass(frozen=True)
class Deletion:
    """What a transaction deleted: how many entries, and the blobs to delete once it is committed.

    Blobs go after their rows: a crash in between leaves a file that no row names, and ``sweep`` removes it (in a
    bucket, the next prune, by what ``let_go`` noted). In the other order a row would name a file that is gone.
    """

    count: int
    blobs: Sequence[str]


def let_go(connection: Connection, blobs: Sequence[str]) -> None:
    """Note blobs whose rows this transaction deletes, where they lie in a bucket: who removes them may be killed.

    In a folder what a crash leaves is found by looking, each night; a bucket is looked through once a week.
    """
    if blobs and connection.get_execution_options().get(NOTES_GONE, False):
        connection.execute(_NOTE_GONE, [{"blob": blob} for blob in blobs])


class PartialWrite(Exception):
    """One of a group failed after it had written."""


T = TypeVar("T")
Work = Callable[[Connection], Any]
A = TypeVar("A")
Together = Callable[[Connection, Sequence[A]], Sequence[Outcome]]
"""Work for several at the same time: an outcome for each, in order. Who is refused has written nothing. Where it is not
sure of that it raises PartialWrite, and each is run alone."""
MOST_IDLE: Final = "30s"
"""For which PostgreSQL lets a transaction that holds the ledger stand still. Its host may be gone, of which nobody is
told, and every writer waits for it; what work does between two statements takes milliseconds."""
_IDLE: Final = "idle_in_transaction_session_timeout"
_WAIT_FOR_READERS: Final = 100
"""Milliseconds for which emptying the log waits for those who read from it; they read for a few."""
_NOTE_GONE: Final = text("INSERT INTO gone (blob) VALUES (:blob) ON CONFLICT DO NOTHING")
DISK_FULL: Final = NO_ROOM | {errno.EFBIG}
"""Also a file system, or a limit, that takes no file of this size."""


@dataclass(frozen=True)
class _Item:
    """Work of one call: whether it ``writes``, and whether it ``erases`` what it deletes.

    ``together``: the same work for several, each with its ``argument``.
    """

    work: Work
    writes: bool = False
    erases: bool = False
    together: Together[Any] | None = None
    argument: Any = None


class Store:
    """Runs work in transactions. Work must have no effect except on its connection: it may be run again."""

    def __init__(self, engine: Engine, threads: Threads | None = None) -> None:
        self.engine = engine
        self._sqlite = engine.dialect.name == "sqlite"
        self._turns = _turns(engine)
        self._keeper: Any = None
        """Keeps SQLite's log in its place (``forget``)."""
        self._reader = engine.execution_options(**{READ_ONLY: True})
        threads = threads or InPlaceThreads()
        self._call = threads.grouped(self._run)

    def write(self, work: Callable[[Connection], T], *, erases: bool = False) -> T:
        """``work`` in a transaction of its own, durable on return.

        Args:
            work: what is done.
            erases: on return, what it deleted is in no byte of SQLite's files. While somebody reads from the log, it
                may lie there until the log is emptied next, at the latest by the settle.

        Raises:
            Full: the database's disk has no room; nothing of this transaction is kept.
        """
        return cast("T", self._result(self._call(_Item(work, writes=True, erases=erases))))

    def write_together(self, together: Together[A], argument: A) -> Any:
        """As ``write``, for work that costs hardly more for many than for one: those that wait share its statements.

        Raises:
            Full: the database's disk has no room; nothing of this transaction is kept.
        """

        def alone(connection: Connection) -> Any:
            return self._result(together(connection, [argument])[0])

        return self._result(self._call(_Item(alone, writes=True, together=together, argument=argument)))

    def read(self, work: Callable[[Connection], T]) -> T:
        """``work`` that changes nothing."""
        return cast("T", self._result(self._call(_Item(work))))

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """A bare connection to SQLite outside of transactions, while every other writer waits in its turn.

        Raises:
            Full: the database's disk has no room.
        """
        with self._turns(), closing(self.engine.raw_connection()) as connection:
            try:
                yield cast("sqlite3.Connection", connection.driver_connection)
            except sqlite3.Error as error:
                raise (Full() if no_room(error) else error) from None
            finally:
                connection.detach()  # its settings are not for others

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection that sees the database as it is now, for as long as it takes; nobody waits for it."""
        # A transaction of SQLite sees one state by itself; PostgreSQL has to be asked for it.
        reader = self._reader if self._sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        with reader.connect() as connection:
            if not self._sqlite:
                connection.execute(select(let_stand_still()))
            try:
                yield connection
            finally:
                _roll_back(connection)

    @contextmanager
    def one_at_a_time(self, number: int, file: AbstractContextManager[None]) -> Iterator[None]:
        """What only one process may do at a time, of all hosts that share the database.

        Args:
            number: of PostgreSQL's advisory lock, which ends with its transaction, however that ends.
            file: a lock for the processes of this host.
        """
        with file:
            if self._sqlite:
                yield
                return
            with self.engine.connect() as connection:
                connection.execute(select(let_stand_still(), func.pg_advisory_xact_lock(number)))
                try:
                    yield
                finally:
                    # What was done alone is done, also when the connection of its lock was lost meanwhile.
                    _roll_back(connection)

    def forget(self) -> None:
        """Give up the connections: the values of a statement lie in its connection until it is run again.

        On SQLite one that has run none is kept. Without any, the log would go and come with the next request, and the
        folder would show when that was, also of one that only reads.
        """
        used = self.engine.pool
        self.engine.dispose(close=False)
        if self._sqlite and self._keeper is None:
            kept = self.engine.raw_connection()
            kept.detach()
            self._keeper = kept.dbapi_connection  # without what names the pool, which would stay with it
            self._keeper.execute("SELECT count(*) FROM sqlite_master").fetchone()
        used.dispose()

    @staticmethod
    def _result(outcome: Outcome) -> Any:
        value, error = outcome
        if error is not None:
            raise error
        return value

    def _run(self, items: Sequence[_Item]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        writes = [(place, item) for place, item in enumerate(items) if item.writes]
        reads = [(place, item.work) for place, item in enumerate(items) if not item.writes]
        if writes:
            outcomes |= self._run_writes(writes)
        if self._sqlite and any(item.erases for item in items):
            self._empty_log()  # once for a group, however many ask
        if reads:
            outcomes |= self._run_reads(reads)
        return [outcomes[place] for place in range(len(items))]

    def _run_reads(self, reads: list[tuple[int, Work]]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        # Begun once the group is gathered: whoever asks after its write was answered sees that write.
        with self._reader.connect() as connection:
            for place, work in reads:
                try:
                    outcomes[place] = work(connection), None
                except Exception as error:  # noqa: BLE001 (handed to the one who asked)
                    outcomes[place] = None, _translate(error)
        return outcomes

    def _run_writes(self, writes: list[tuple[int, _Item]]) -> dict[int, Outcome]:
        # Alone, it is its own transaction: what it wrote before it failed goes with it.
        if len(writes) == 1:
            place, item = writes[0]
            try:
                with self._transaction() as connection:
                    value = item.work(connection)
            except Exception as error:  # noqa: BLE001 (handed to the one who asked)
                return {place: (None, _translate(error))}
            return {place: (value, None)}
        is_committing = False
        try:
            with self._transaction() as connection:
                outcomes = self._run_together(connection, writes)
                outcomes |= {
                    place: self._in_group(connection, item.work) for place, item in writes if place not in outcomes
                }
                is_committing = True
        except (DBAPIError, PartialWrite) as error:
            # PostgreSQL may have committed, and its answer was lost: work that is repeated would find its own effects,
            # and take them for somebody else's. SQLite has rolled back when it says so.
            if is_committing and not self._sqlite:
                return {place: (None, _translate(error)) for place, _ in writes}
            # One of them broke the transaction: each gets its own, so that the others are not lost with it.
            return {place: outcome for write in writes for place, outcome in self._run_writes([write]).items()}
        return outcomes

    def _empty_log(self) -> None:
        """Write SQLite's log into the database, where deleted rows are overwritten, and durably cut it to nothing."""
        with self._turns(), closing(self.engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={_WAIT_FOR_READERS}")
            try:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                # SQLite needs no old log after a power cut, and so leaves open whether there is one; we want it gone.
                fsync_file(Path(f"{self.engine.url.database}-wal"))
            except (sqlite3.OperationalError, OSError):
                pass  # what was deleted is durably so in the log already; the settle empties it
            finally:
                cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        # Only the transaction itself is in the turn: every writer of both workers waits for it.
        with self.engine.connect() as connection, self._turns(), connection.begin():
            if not self._sqlite:  # one writer at a time, as SQLite has it, so that quotas are exact
                idle = func.set_config(_IDLE, MOST_IDLE, True)
                connection.execute(select(idle, Ledger.id).with_for_update())
            yield connection

    @staticmethod
    def _run_together(connection: Connection, writes: list[tuple[int, _Item]]) -> dict[int, Outcome]:
        """Of those that can share their statements, the outcomes."""
        outcomes: dict[int, Outcome] = {}
        for together in dict.fromkeys(item.together for _, item in writes if item.together is not None):
            those = [(place, item.argument) for place, item in writes if item.together == together]
            try:
                done = together(connection, [argument for _, argument in those])
            except DBAPIError:
                raise
            except Exception:  # noqa: BLE001 (each meets its own, alone)
                raise PartialWrite from None
            outcomes |= {place: outcome for (place, _), outcome in zip(those, done, strict=True)}
        return outcomes

    def _in_group(self, connection: Connection, work: Work) -> Outcome:
        """Work beside others in one transaction: what it wrote before it failed is not committed with theirs.

        PostgreSQL has savepoints for that. On SQLite they cost as much as the work, but it counts its changes: work
        that refused before it changed anything leaves nothing to undo.
        """
        savepoint = None if self._sqlite else connection.begin_nested()
        before = _changes(connection) if self._sqlite else 0
        try:
            value = work(connection)
        except DBAPIError:
            raise
        except Exception as error:  # noqa: BLE001 (handed to the one who asked)
            if savepoint is not None:
                savepoint.rollback()
            elif _changes(connection) != before:
                raise PartialWrite from None
            return None, error
        if savepoint is not None:
            savepoint.commit()
        return value, None


def let_stand_still() -> ColumnElement[str]:
    """What lets a transaction of PostgreSQL stand still for as long as it takes, once it is selected in it."""
    return func.set_config(_IDLE, "0", True)


def _roll_back(connection: Connection) -> None:
    """End a transaction that changed nothing; without its connection it has ended."""
    with suppress(DBAPIError):
        connection.rollback()


def _changes(connection: Connection) -> int:
    return cast("sqlite3.Connection", connection.connection.driver_connection).total_changes


def _turns(engine: Engine) -> Callable[[], AbstractContextManager[None]]:
    """What a writer waits for: SQLite waits by sleeping, which starves some; a lock of the kernel wakes in turn."""
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database:
        return nullcontext

    return partial(exclusive, f"{database}.turn", mode=0o660)


def _translate(error: Exception) -> Exception:
    if isinstance(error, DBAPIError) and isinstance(error.orig, Exception) and no_room(error.orig):
        return Full()
    return error
