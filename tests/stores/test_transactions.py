"""Transactions on PostgreSQL when a connection or a whole host goes in the middle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, func, select, text, update
from sqlalchemy.exc import DBAPIError

from support.services import new_database
from tipbox.errors import InputRefused
from tipbox.server.config import load
from tipbox.server.home import Home
from tipbox.server.storage import transactions
from tipbox.server.storage.database import make_engine, migrate
from tipbox.server.storage.database_errors import explained
from tipbox.server.storage.models import Ledger
from tipbox.server.storage.transactions import Store

pytestmark = pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another")
NUMBER = 7
WITHIN = 60
"""Seconds for what would otherwise wait until the host is back."""


@pytest.fixture(name="engines")
def _engines(postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Engine]]:
    """Of two hosts."""
    monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(postgresql))
    engines = [make_engine(Home(tmp_path), load(tmp_path)) for _ in range(2)]
    migrate(engines[0])
    yield engines
    for engine in engines:
        engine.dispose()


def count(connection: Connection) -> None:
    """One more day seen."""
    connection.execute(update(Ledger).values(days_seen=Ledger.days_seen + 1))


def counted(store: Store) -> int:
    return store.read(lambda connection: connection.execute(select(Ledger.days_seen)).scalar_one())


def end(engine: Engine) -> None:
    """Let PostgreSQL end every other connection to this database, as a restart of it does."""
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


@pytest.mark.parametrize("together", [1, 3])
def test_a_commit_whose_answer_was_lost_is_not_repeated(
    engines: list[Engine], monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    """It may be done: who repeats it finds its draft gone, and would remove the body of a tip that is stored."""
    store, engine = Store(engines[0]), engines[0]
    before, commit = counted(store), engine.dialect.do_commit

    def lost(connection: Any) -> None:
        commit(connection)
        connection.driver_connection.close()
        raise psycopg.OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(engine.dialect, "do_commit", lost)
        outcomes = store._run([transactions._Item(count, writes=True) for _ in range(together)])

    assert all(isinstance(error, DBAPIError) for _, error in outcomes)
    assert counted(store) == before + together, "each once"


def test_one_that_breaks_a_group_does_not_take_the_others_with_it(engines: list[Engine]) -> None:
    store = Store(engines[0])
    before = counted(store)

    def broken(connection: Connection) -> None:
        connection.execute(text("SELECT 1/0"))

    works = (count, broken, count)
    outcomes = store._run([transactions._Item(work, writes=True) for work in works])
    assert [error is None for _, error in outcomes] == [True, False, True]
    assert counted(store) == before + 2


def test_a_host_that_vanishes_in_a_transaction_stops_no_other(
    engines: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the ledger, and PostgreSQL would wait for two hours until it asks whether it is still there."""
    monkeypatch.setattr(transactions, "MOST_IDLE", "1s")
    gone, back = threading.Event(), threading.Event()

    def vanish(connection: Connection) -> None:
        gone.set()
        back.wait(2 * WITHIN)
        count(connection)

    with ThreadPoolExecutor(2) as threads:
        vanished = threads.submit(Store(engines[0]).write, vanish)
        assert gone.wait(WITHIN)
        try:
            threads.submit(Store(engines[1]).write, count).result(WITHIN)
        finally:
            back.set()
        with pytest.raises(InputRefused, match="PostgreSQL ended a transaction that stood still"), explained("writing"):
            vanished.result()


def test_what_waits_long_by_its_nature_is_not_ended(engines: list[Engine]) -> None:
    """A lock of upkeep, and the snapshot of a backup, stand still while files are read."""
    with engines[1].begin() as connection:
        name = connection.execute(select(func.current_database())).scalar_one()
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '1s'")
    engines[0].dispose()
    store, done = Store(engines[0]), threading.Event()

    with store.one_at_a_time(NUMBER, nullcontext()), store.snapshot() as connection:
        days = connection.execute(select(Ledger.days_seen)).scalar_one()
        assert not done.wait(3)
        assert connection.execute(select(Ledger.days_seen)).scalar_one() == days


def test_work_that_was_done_does_not_fail_with_its_lock(engines: list[Engine]) -> None:
    store, done = Store(engines[0]), []

    with store.one_at_a_time(NUMBER, nullcontext()), store.snapshot() as connection:
        connection.execute(select(Ledger.days_seen)).scalar_one()
        end(engines[1])
        done.append(1)
    assert done
    assert counted(store) == counted(Store(engines[1]))


def test_an_ended_connection_is_explained(engines: list[Engine]) -> None:
    def read() -> None:
        with explained("reading"), engines[0].connect() as connection:
            connection.execute(select(Ledger.days_seen))
            end(engines[1])
            connection.execute(select(Ledger.days_seen))

    with pytest.raises(InputRefused, match="PostgreSQL ended the connection or the statement"):
        read()


def test_a_host_that_vanished_is_noticed_by_both_ends(engines: list[Engine]) -> None:
    """Only TCP can say so; on a socket of this machine PostgreSQL reads these as zero."""
    with engines[0].connect() as connection:
        asked: Any = connection.connection.driver_connection
        found = asked.info.get_parameters()
    assert {name: found.get(name) for name in ("connect_timeout", "keepalives_idle", "tcp_user_timeout")} == {
        "connect_timeout": "10",
        "keepalives_idle": "30",
        "tcp_user_timeout": "60000",
    }
