"""A proof pays for one place: however many connections, circuits and workers show it, and on one host only."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event
from gevent.socket import socketpair

from load.simulated import BURST, HOUR, ROOM, Clock, Line, Simulated
from support.sealed import envelope
from tipbox.formats import toll
from tipbox.formats.base.primitives import sha256
from tipbox.formats.toll import Solver
from tipbox.server.config import Config, Quota
from tipbox.server.refusal import Refusal
from tipbox.server.storage.executors import WorkerThreads
from tipbox.server.uploads.buckets import DAY, Charge
from tipbox.server.uploads.cells import Cells
from tipbox.server.uploads.gate import PASSED_ON, Clocks, Gate, Looks, Payment
from tipbox.server.uploads.price import PATIENCE, Place, Tolls

pytestmark = pytest.mark.reads_date

TOKEN = sha256(bytes(32))
TEXT = SimpleNamespace(body_size=0, letter_size=8192)


class Sources:
    """Requests with one proof, each of which opens, or waits until it may."""

    def __init__(self, clock: Simulated, cells: Cells) -> None:
        self.clock, self.cells = clock, cells
        self.known = False
        self.workers = [self._worker() for _ in range(2)]
        buckets = self.workers[0].buckets
        buckets.fills(ROOM)
        clock.run(2 * DAY)
        assert buckets.take(Charge(60, 0, 0, 0), ROOM)

    def _worker(self) -> Gate:
        quota = Quota(letters_burst=BURST, letters_per_second=BURST / 10_000)
        return Gate(Config(quota=quota), self.clock, self.cells, Clocks(self.clock, self.clock))

    @property
    def fill(self) -> float:
        return self.workers[0].buckets.fills(ROOM)[0]

    @property
    def waiting(self) -> int:
        return sum(len(gate._letters) for gate in self.workers)

    def proof(self, effort: int = 5) -> str:
        hour = int(self.clock() // 3600)
        return Solver(toll.seed_of(self.cells.key, hour), bytes(32)).solve(hour, effort).encode()

    def ask(self, written: str, worker: int = 0, body: Event | None = None) -> gevent.Greenlet[[], str]:
        """Open with a proof; in the end the code of the refusal, or nothing. ``body``: set when it has come."""

        def opens() -> str:
            payment, looks = Payment(written, "circuit", by_tor=True), Looks(lambda: self.known, lambda: None)
            try:
                with self.workers[worker].admitted(TOKEN, TEXT, payment, ROOM, looks) as admission:  # type: ignore[arg-type]
                    if body and admission.gives_way and not self.clock.unless(admission.gives_way, body.wait):
                        return "gave way"
                    admission.used = True
            except Refusal as refusal:
                return refusal.code
            return ""

        asked = gevent.spawn(opens)
        self.clock.run(0)
        return asked


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is not what is looked at here."""
    monkeypatch.setattr(toll, "TRIES", 1)


@pytest.fixture(name="sources")
def _sources() -> Sources:
    return Sources(Simulated(), Cells())


@pytest.mark.parametrize("other", [0, 1], ids=["same worker", "another"])
def test_while_a_proof_waits_for_a_place_nobody_else_has_one_by_it(sources: Sources, other: int) -> None:
    assert sources.workers[0].buckets.take(Charge(40, 0, 0, 0), ROOM)
    written = sources.proof(60)
    first = sources.ask(written)
    others = [sources.ask(written, other) for _ in range(20)]

    assert [one.value for one in others] == [None] + ["slow-down"] * 19, "one waits for what the first one holds"
    assert sources.waiting == 1
    sources.clock.run(PASSED_ON - 1)
    assert not first.ready(), "it had no time to find a place"
    assert sources.waiting == 1
    sources.clock.run(2)
    assert first.value == "slow-down"
    assert not others[0].ready()
    assert sources.waiting == 1
    assert sources.workers[other]._letters._waiting[0].effort == 60
    sources.clock.run(PATIENCE + 1)
    assert others[0].value == "slow-down", "a hundredth of the bucket, which is a letter, takes 100 seconds"
    assert sources.waiting == 0


@pytest.mark.parametrize("other", [0, 1], ids=["same worker", "another"])
def test_while_an_opening_comes_the_same_proof_takes_nothing_more(sources: Sources, other: int) -> None:
    written, before, body = sources.proof(), sources.fill, Event()
    first = sources.ask(written, body=body)
    others = [sources.ask(written, other) for _ in range(3)]
    sources.clock.run(PASSED_ON - 1)

    assert [one.value for one in others] == [None, "slow-down", "slow-down"]
    assert sources.fill == pytest.approx(before - 0.01, abs=0.005)
    body.set()
    sources.known = True
    sources.clock.run(1)
    assert [first.value, others[0].value] == ["", ""]
    assert sources.fill == pytest.approx(before - 0.01, abs=0.005), "the newer one found it stored, and took nothing"


@pytest.mark.parametrize("other", [0, 1], ids=["same worker", "another"])
def test_a_newer_request_takes_the_place_of_one_whose_connection_was_lost(sources: Sources, other: int) -> None:
    """Nobody is told that it was; its body could come for three minutes yet."""
    written, before = sources.proof(), sources.fill
    lost = sources.ask(written, body=Event())
    sources.clock.run(1)
    newer = sources.ask(written, other)
    sources.clock.run(PASSED_ON - 2)
    assert not lost.ready()
    sources.clock.run(2)

    assert (lost.value, newer.value) == ("gave way", "")
    assert sources.fill == pytest.approx(before - 0.01, abs=0.005)


def test_who_comes_again_and_again_has_no_more_places_than_one(sources: Sources) -> None:
    """At most every 20 seconds one joins a queue, in whichever worker: else each would drop others there."""
    assert sources.workers[0].buckets.take(Charge(40, 0, 0, 0), ROOM)
    written, joined = sources.proof(60), 0
    for gate in sources.workers:
        join = gate._letters.join

        def counted(place: Place, join: Callable[[Place], None] = join) -> None:
            nonlocal joined
            joined += 1
            join(place)

        gate._letters.join = counted  # type: ignore[method-assign]
    for second in range(100):
        sources.ask(written, second % 2)
        sources.clock.run(1)
        assert sources.waiting <= 1

    assert 4 <= joined <= 1 + 100 // PASSED_ON


def test_a_proof_whose_request_broke_off_may_come_again(sources: Sources) -> None:
    written = sources.proof()
    broken = sources.ask(written, body=Event())
    broken.kill(ConnectionResetError)
    assert sources.ask(written).value == ""


def test_what_is_free_asks_for_no_turn(sources: Sources) -> None:
    """A source whose connection broke begins anew at once, also while the server still waits for the old one."""
    sources.clock.run(2 * DAY)
    with sources.workers[0].admitted(TOKEN, TEXT, Payment(), ROOM, Looks(lambda: False, lambda: None)):  # type: ignore[arg-type]
        assert sources.ask("").value == ""


def test_a_read_that_is_not_wanted_any_more_ends() -> None:
    """In a worker, whose connections are read by its loop."""
    threads, stopped = WorkerThreads(), Event()
    ours, theirs = socketpair()
    with ours, theirs, gevent.Timeout(60):
        reading = gevent.spawn(threads.unless, stopped.is_set, ours.recv, 1)
        theirs.send(b"a")
        assert reading.get() == b"a"
        reading = gevent.spawn(threads.unless, stopped.is_set, ours.recv, 1)
        gevent.sleep(0.01)
        assert not reading.ready()
        stopped.set()
        assert reading.get() is None
        theirs.send(b"b")
        assert threads.unless(bool, ours.recv, 1) == b"b", "the one that ended took nothing"


def test_workers_see_each_others_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    cells, wanted = Cells(tmp_path), multiprocessing.get_context("fork").Event()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with cells.once(TOKEN) as held:
            os.write(writing, b"n" if held is None or held.is_wanted() or held.was_passed_on else b"y")
            wanted.wait()
            os.write(writing, b"y" if held and held.is_wanted() else b"n")
            signal.pause()
        os._exit(1)
    try:
        assert os.read(reading, 1) == b"y"

        def told() -> bool:
            wanted.set()
            return os.read(reading, 1) == b"n"

        with cells.once(TOKEN, told) as held, cells.once(sha256(b"other")) as other, cells.alone():
            assert held is None
            assert other is not None
            assert not other.is_wanted()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
    with cells.once(TOKEN) as held, cells.once(TOKEN) as again:
        assert held is not None
        assert again is None
    with cells.once(TOKEN) as held:
        assert held is not None
        assert not held.is_wanted()
    assert [*tmp_path.iterdir()] == [], "nothing has a name"


def test_a_proof_is_for_one_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that share a database have keys of their own: what was paid to one is nothing to another."""
    monkeypatch.setattr(toll, "TRIES", 80)
    clock = Clock()
    here, there = Tolls(Cells().key, clock), Tolls(Cells().key, clock)
    written = Solver(toll.seed_of(here._key, HOUR), bytes(32)).solve(HOUR, 1).encode()

    assert here.paid(written, TOKEN, 1) == 1
    assert there.paid(written, TOKEN, 1) == 0


def test_a_proof_that_was_spent_opens_nothing_more(line: Line) -> None:
    """Neither another Envelope under its token, nor the same one again under another."""
    sent = envelope(line.organisations)
    line.empty_to(0.4)
    written = line.pay(sent, 5)
    assert line.open(sent, written) == (201, "stored")
    fill = line.buckets.fills(ROOM)[0]
    other = replace(envelope(line.organisations), token=sent.token)

    assert line.open(other, written) == (200, "stored"), "as it was told before: nothing is stored"
    assert line.open(sent.again(), written) == (429, "toll")
    assert line.buckets.fills(ROOM)[0] == fill
