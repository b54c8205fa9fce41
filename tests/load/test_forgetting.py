"""What requests left in memory is given up, and the disk does not show when."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from weakref import ref

import gevent
import pytest
from flask import Flask
from gevent.event import Event
from sqlalchemy import text

from tipbox.server.config import Config
from tipbox.server.home import Home
from tipbox.server.process import forgetting
from tipbox.server.process.forgetting import Forgetting
from tipbox.server.process.worker import Listener, Worker
from tipbox.server.storage.database import make_engine, make_file, migrate
from tipbox.server.storage.transactions import Store
from tipbox.server.web.worker_keys import FORGET, LONGEST_WINDOW

pytestmark = pytest.mark.reads_date


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.make()
    make_file(home)
    return home


@pytest.fixture(name="store")
def _store(home: Home) -> Iterator[Store]:
    engine = make_engine(home, Config())
    migrate(engine)
    yield Store(engine)
    engine.dispose()


def names(folder: Path) -> tuple[int, dict[str, int]]:
    """When a name in a folder came or went last, and which file each of them names."""
    return folder.stat().st_mtime_ns, {path.name: path.stat().st_ino for path in folder.iterdir()}


def reads(store: Store) -> None:
    store.read(lambda connection: connection.execute(text("SELECT :asked"), {"asked": "a mailbox"}).one())


def test_giving_up_connections_leaves_no_second_on_the_disk(home: Home, store: Store) -> None:
    """Else the log would go with the last connection and come with the next reader, whom nothing else shows."""
    reads(store)
    before = names(home.path)
    assert "tipbox.db-wal" in before[1]
    for _ in range(3):
        store.forget()
        reads(store)
    store.forget()

    assert names(home.path) == before


def test_connections_that_were_used_are_given_up(store: Store) -> None:
    used: list[Any] = []
    for _ in range(3):
        reads(store)
        with store.engine.connect() as connection:
            used.append(connection.connection.driver_connection)
        store.forget()

    assert len({id(one) for one in used}) == 3
    for one in used:
        with pytest.raises(Exception, match="closed database"):
            one.execute("SELECT 1")


def test_a_connection_that_was_in_use_is_given_up_when_it_comes_back(store: Store) -> None:
    """Else it lies in a pool that nobody asks any more, with the values of its statements."""
    for _ in range(3):
        with store.engine.connect() as connection:
            used: Any = connection.connection.driver_connection
            connection.execute(text("SELECT :asked"), {"asked": "a mailbox"}).one()
            store.forget()
        with pytest.raises(Exception, match="closed database"):
            used.execute("SELECT 1")
    with store.engine.connect() as connection:
        used = connection.connection.driver_connection
    assert used.execute("SELECT 1").fetchone() == (1,), "nothing was given up"


def test_what_keeps_the_log_keeps_no_pool(store: Store) -> None:
    """Whoever holds the pool of before holds what comes back to it."""
    pools = [ref(store.engine.pool)]
    for _ in range(3):
        store.forget()
        pools.append(ref(store.engine.pool))
    gc.collect()

    assert [pool() for pool in pools[:-1]] == [None] * 3


def test_what_was_written_is_read_by_the_next_connection(store: Store) -> None:
    store.write(lambda connection: connection.execute(text("UPDATE ledger SET body_bytes = 7")))
    store.forget()

    assert store.read(lambda connection: connection.execute(text("SELECT body_bytes FROM ledger")).scalar_one()) == 7


class Searched:
    """A worker's looks at what requests left, and the seconds of those at which memory was searched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.dropped = 0
        self.collected = 0
        self.takes = 0.0
        self.forgetting = Forgetting(self.drop, clock=lambda: self.now)
        monkeypatch.setattr(gc, "collect", self.collect)

    def drop(self) -> None:
        self.dropped += 1

    def collect(self) -> None:
        self.collected += 1
        self.now += self.takes

    def look(self, seconds: int, *, asked: bool) -> list[float]:
        """Look for so long, with a request before each look or with none."""
        searched = []
        for _ in range(seconds // forgetting.SECONDS):
            self.now += forgetting.SECONDS
            if asked:
                self.forgetting.asked()
            if self.forgetting.look():
                searched.append(self.now)
        return searched


def test_an_idle_worker_is_searched_within_ten_seconds_and_then_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Searched(monkeypatch)
    assert worker.look(30, asked=False) == []
    assert worker.look(3, asked=True) == [worker.now]
    worker.takes = 0.5
    worker.look(3, asked=True)
    worker.look(3, asked=True)
    assert worker.look(3, asked=True) == []
    last, collected = worker.now, worker.collected
    searched = [at - last for at in worker.look(600, asked=False)]

    assert searched[:2] == [3.5, 7.0]
    assert LONGEST_WINDOW < searched[-1] <= LONGEST_WINDOW + 10, "budgets were counted up to then"
    assert worker.collected - collected == len(searched) <= 5
    assert worker.dropped * forgetting.SECONDS > LONGEST_WINDOW


@pytest.mark.parametrize("takes", [1 / 128, 1 / 8, 1 / 2, 5.0])
def test_a_busy_worker_is_searched_for_a_sixtieth_of_its_time(takes: float, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Searched(monkeypatch)
    worker.takes = takes
    searched = worker.look(600, asked=True)

    between = [after - before - takes for before, after in pairwise(searched)]
    every = min(60, 60 * takes)
    assert every <= min(between)
    assert max(between) <= every + forgetting.SECONDS
    assert worker.dropped == 200, "what is counted no longer is dropped at each look"


def test_a_store_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that waits for it holds one of the worker's threads; memory is searched meanwhile."""
    asked: list[str] = []
    hangs = Event()

    def forget(name: str) -> None:
        asked.append(name)
        hangs.wait()

    apps = {name: Flask(name) for name in ("sources", "couriers")}
    for name, app in apps.items():
        app.extensions[FORGET] = partial(forget, name)
    worker = Worker.__new__(Worker)
    worker.dropping, worker.listeners = {}, {name: Listener(app, True, name) for name, app in apps.items()}
    monkeypatch.setattr(forgetting, "SECONDS", 0.01)

    worker._drop()
    worker._drop()
    assert asked == ["sources", "couriers"]
    hangs.set()
    gevent.joinall(list(worker.dropping.values()))
    worker._drop()
    assert asked == ["sources", "couriers"] * 2
