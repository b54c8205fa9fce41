"""What a circuit may hold and ask for, by a clock that the tests give."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import gevent
import pytest
from flask import Flask
from gevent.event import Event

from tipbox.server.config import Config, Limits
from tipbox.server.process import circuits
from tipbox.server.process.circuits import BadLine, Circuit, Circuits, read_line
from tipbox.server.process.connections import Connection
from tipbox.server.refusal import Refusal
from tipbox.server.uploads.cells import Cells
from tipbox.server.uploads.openings import STEP, Openings
from tipbox.server.web.answers import answer_errors
from tipbox.server.web.counts import Counts
from tipbox.server.web.rates import Rates
from tipbox.server.web.worker_keys import CIRCUIT, LONGEST_WINDOW

LINE = b"PROXY TCP6 fc00:dead:beef:4dad::9 ::1 225 80\r\n"
ADDRESS = bytes.fromhex("fc00deadbeef4dad") + bytes(7) + b"\x09"
PER_SECOND = 4


class Clock:
    """Seconds, as the test wants them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="known")
def _known(clock: Clock) -> Circuits:
    return Circuits(PER_SECOND, Cells(), clock)


@pytest.fixture(name="gone")
def _gone() -> Event:
    return Event()


def spent(circuit: Circuit) -> int:
    """How many turns come at once."""
    count = 0
    while circuit.turn() == 0:
        count += 1
    return count


# --- Tor's line -------------------------------------------------------------------------------------------------------


def test_the_line_names_a_circuit_whatever_follows_and_however_it_comes() -> None:
    assert read_line(LINE + b"GET / HTTP/1.1\r\n") == (ADDRESS, len(LINE))
    for size in range(len(LINE)):
        assert read_line(LINE[:size]) == (None, 0)
    assert read_line(b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n")[0] == bytes([192, 0, 2, 1])


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\r\n\r\n\x00\r\nQUIT\n", b"PROXY\r\n"])
def test_what_is_no_line_names_none_and_is_left(data: bytes) -> None:
    assert read_line(data) == (b"", 0)


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY TCP6 not-an-address ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 ::1 1 2\r\n",
        b"PROXY TCP4 fc00::9 127.0.0.1 1 2\r\n",
        b"PROXY TCP6 fc00::9 ::1 1\r\n",
        b"PROXY TCP6 fc00::9 ::1 1 123456\r\n",
        b"PROXY TCP6 fc00:::9 ::1 1 2\r\n",
        b"PROXY TCP6  fc00::9 ::1 1 2\r\n",
        b"PROXY TCP6 fc00::9 ::1 1 2\n\r\n",
        b"PROXY " + b"x" * circuits.LONGEST_LINE,
    ],
)
def test_a_line_that_names_no_circuit_is_refused(line: bytes) -> None:
    with pytest.raises(BadLine):
        read_line(line)


# --- turns ------------------------------------------------------------------------------------------------------------


def test_turns_come_at_the_rate_of_a_circuit_after_what_it_may_ask_for_at_once(known: Circuits, clock: Clock) -> None:
    one, other = known.of(b"one"), known.of(b"other")

    assert spent(one) == PER_SECOND * circuits.BURST_SECONDS
    assert one.turn() == pytest.approx(2 / PER_SECOND)  # those that wait come one after the other
    assert other.turn() == 0
    clock.now += 2
    assert spent(one) == 2 * PER_SECOND - 2


def test_a_long_silence_allows_no_more_at_once_than_a_short_one(known: Circuits, clock: Clock) -> None:
    one = known.of(b"one")
    clock.now += 86_400

    assert spent(one) == PER_SECOND * circuits.BURST_SECONDS


def test_one_that_is_forgotten_gets_nothing_by_it(known: Circuits, clock: Clock) -> None:
    one = known.of(b"one")
    spent(one)
    for _ in range(10 * circuits.BURST_SECONDS):
        known.forget()
        forgotten = known.of(b"one") is not one
        assert forgotten == (clock.now >= 1000 + circuits.BURST_SECONDS + 1 / PER_SECOND)
        if forgotten:
            return
        clock.now += 0.25
    raise AssertionError("it was never forgotten")


def test_one_with_a_connection_is_not_forgotten(known: Circuits, clock: Clock) -> None:
    one = known.of(b"one")
    one.connections += 1
    clock.now += 1000
    known.forget()
    assert known.of(b"one") is one
    one.connections -= 1
    known.forget()
    assert len(known) == 0


def test_a_name_tells_nothing_and_is_that_of_all_workers() -> None:
    cells = Cells()
    names = [Circuits(1, one).of(ADDRESS).name for one in (cells, cells, Cells())]

    assert names[0] == names[1] != names[2]
    assert ADDRESS.hex() not in names[0]
    assert Circuits(1, cells).of(b"").name == ""


def test_a_circuit_has_its_openings_once_whichever_worker_it_meets_and_however_long_it_is_silent(clock: Clock) -> None:
    cells = Cells()
    workers = [Circuits(PER_SECOND, cells, clock) for _ in range(2)]
    openings = [Openings(cells, 4, clock) for _ in workers]
    opened = 0
    for _ in range(10):
        for known, counted in zip(workers, openings, strict=True):
            opened += sum(counted.take(known.of(ADDRESS).name) for _ in range(5))
        clock.now += 2 * LONGEST_WINDOW
        for known in workers:
            known.forget()
            assert not len(known)
    passed = clock.now // STEP - 1000.0 // STEP

    assert opened == 4 + passed


def test_what_made_names_goes_when_nothing_is_counted_by_them(clock: Clock) -> None:
    """Tor's addresses are few enough to try them all: nobody may do so later with what lies in memory."""
    cells = Cells()
    known, other = Circuits(PER_SECOND, cells, clock), Circuits(PER_SECOND, cells, clock)
    openings = Openings(cells, 4, clock)
    name, beside = known.of(ADDRESS).name, other.of(b"beside")
    beside.connections += 1
    assert openings.take(name)

    def wait(seconds: float) -> str:
        for _ in range(int(seconds / 5)):
            clock.now += 5
            for one in (known, other):
                one.forget()
        return Circuits(PER_SECOND, cells, clock).of(ADDRESS).name

    assert wait(2 * LONGEST_WINDOW) == name, "an opening is counted"
    wait(STEP)
    openings.forget()
    assert wait(2 * LONGEST_WINDOW) == name, "another worker knows a circuit, and its name"
    beside.connections -= 1
    assert wait(LONGEST_WINDOW - circuits.BURST_SECONDS) == name, "its requests of the last minute are counted"
    before = bytes(cells.secret)
    assert wait(2 * LONGEST_WINDOW) != name
    assert bytes(cells.secret) != before


def test_counts_of_the_last_minute_are_dropped_when_it_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nobody asks any more: their keys are names of circuits."""
    app = Flask("rates")
    rates = Rates(app, Config())
    (limiter,) = app.extensions["limiter"]
    limiter.storage.incr("a circuit", LONGEST_WINDOW)
    now = time.time()
    rates.forget()
    assert limiter.storage.get("a circuit") == 1
    monkeypatch.setattr(time, "time", lambda: now + LONGEST_WINDOW + 1)
    rates.forget()

    assert "a circuit" not in limiter.storage


def test_a_count_runs_out_after_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    counts = Counts()
    assert [counts.incr("a circuit", 60) for _ in range(3)] == [1, 2, 3]
    assert counts.get_expiry("a circuit") == now + 60
    assert counts.get("another") == 0
    monkeypatch.setattr(time, "time", lambda: now + 59.9)
    assert counts.incr("a circuit", 60) == 4, "a window does not move"
    monkeypatch.setattr(time, "time", lambda: now + 60)

    assert counts.get("a circuit") == 0
    assert counts.incr("a circuit", 60) == 1
    assert counts.get_expiry("a circuit") == now + 120


@pytest.mark.parametrize("url", ["memory://", "valkey+unix:///nowhere.sock"])
def test_counting_starts_no_timer(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Also while a Valkey is down: a timer would walk all counts, a hundred times a second."""
    started: list[str] = []
    app = Flask("rates")
    rates = Rates(app, Config(limits=Limits(url=url)))
    (limiter,) = app.extensions["limiter"]

    # Only now: Flask-Limiter makes a storage of the library's, which looks at its counts once; there are none.
    monkeypatch.setattr(threading.Timer, "start", lambda timer: started.append(timer.name))

    @app.get("/")
    @rates.limit(100)
    def page() -> str:
        return "page"

    for number in range(3):
        answer = app.test_client().get("/", environ_base={CIRCUIT: f"circuit {number}"})
        assert answer.status_code == 200
    counted = limiter._fallback_storage if "valkey" in url else limiter.storage
    assert isinstance(counted, Counts)
    assert counted._counts
    assert started == []


def test_counts_from_while_a_valkey_was_down_are_dropped_when_it_is_there_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Flask("rates")
    rates = Rates(app, Config(limits=Limits(url="valkey+unix:///nowhere.sock")))
    (limiter,) = app.extensions["limiter"]
    fallback = limiter._fallback_storage
    assert limiter.storage is not fallback
    fallback.incr("a circuit", LONGEST_WINDOW)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LONGEST_WINDOW + 1)
    rates.forget()

    assert "a circuit" not in fallback


def limited() -> tuple[Flask, Callable[[str], int]]:
    """An application with a page that a circuit may have four times a minute, and what each circuit is answered."""
    app = Flask("rates")
    rates = Rates(app, Config(limits=Limits(all_per_second=20)))
    answer_errors(app, None, rates)

    @app.get("/")
    @rates.limit(4)
    def page() -> str:
        return "page"

    client = app.test_client()
    return app, lambda circuit: client.get("/", environ_base={CIRCUIT: circuit}).status_code


def test_what_a_circuit_asks_for_above_its_budget_takes_nothing_of_the_budget_of_all() -> None:
    _, ask = limited()

    assert [ask("greedy") for _ in range(100)].count(200) == 2, "the share of one of two workers"
    assert [ask(f"other {number}") for number in range(5)] == [200] * 5
    assert [ask(f"another {number}") for number in range(40)].count(429) > 0, "what is answered counts"


def test_what_was_done_is_answered_when_it_cannot_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Valkey that goes in the middle of a request must not have a source read that nothing was stored."""
    app, ask = limited()
    (limiter,) = app.extensions["limiter"]
    hit = limiter.limiter.hit

    def gone(item: object, *keys: str, cost: int = 1) -> bool:
        if "all" in keys:
            raise ConnectionError
        return bool(hit(item, *keys, cost=cost))

    monkeypatch.setattr(limiter.limiter, "hit", gone)
    assert ask("one") == 200


def test_where_no_circuit_is_named_each_connection_is_one(known: Circuits) -> None:
    one, other = known.own(), known.own()
    spent(one)

    assert other.turn() == 0
    assert one.name
    assert one.name != other.name
    assert len(known) == 0


# --- bytes in flight --------------------------------------------------------------------------------------------------


def test_bytes_in_flight_have_a_bound_and_come_back(known: Circuits, gone: Event) -> None:
    one, half = known.of(b"one"), circuits.MOST_BYTES_IN_FLIGHT // 2
    with one.in_flight(gone) as first:
        first.take(half)
        with one.in_flight(gone) as second:
            second.take(half)
            with one.in_flight(gone) as third:
                with pytest.raises(Refusal, match="Too many"):
                    third.take(1)
                with known.of(b"other").in_flight(gone) as others:
                    others.take(half)
        with one.in_flight(gone) as again:
            again.take(half)


def test_one_request_alone_may_be_larger(known: Circuits, gone: Event) -> None:
    with known.of(b"one").in_flight(gone) as share:
        for _ in range(4):
            share.take(circuits.MOST_BYTES_IN_FLIGHT)


def test_a_request_that_waits_for_a_place_ends_when_its_connection_gave_way(known: Circuits) -> None:
    one = known.of(b"one")
    here, there = socket.socketpair()
    with here, there, ExitStack() as held:
        for _ in range(circuits.MOST_IN_FLIGHT):
            held.enter_context(one.in_flight(Event()))
        dropped, waits = Connection(here), Connection(there)

        def ask(connection: Connection) -> str:
            with one.in_flight(connection.gone):
                return "answered"

        asked = [gevent.spawn(ask, connection) for connection in (dropped, waits)]
        gevent.sleep(0)
        dropped.drop()
        with pytest.raises(ConnectionAbortedError):
            asked[0].get(timeout=5)
        held.close()
        assert asked[1].get(timeout=5) == "answered"


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_one_that_goes_on_after_refusals_is_closed_for_a_while(known: Circuits, clock: Clock) -> None:
    one = known.of(b"one")
    outcomes = [one.answered(refused=True) for _ in range(circuits.MOST_REFUSALS)]

    assert outcomes == [False] * (circuits.MOST_REFUSALS - 1) + [True]
    assert [one.closed, known.of(b"other").closed] == [True, False]
    clock.now += circuits.CLOSED_SECONDS
    assert [one.closed] == [False]
    assert not one.answered(refused=True)


def test_refusals_count_in_a_row_only(known: Circuits) -> None:
    one = known.of(b"one")
    for _ in range(circuits.MOST_REFUSALS):
        assert not one.answered(refused=True)
        assert not one.answered(refused=False)


def test_one_that_is_closed_is_not_forgotten(known: Circuits, clock: Clock) -> None:
    one = known.of(b"one")
    clock.now += circuits.BURST_SECONDS
    for _ in range(circuits.MOST_REFUSALS):
        one.answered(refused=True)
    known.forget()

    assert known.of(b"one").closed
