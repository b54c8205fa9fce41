"""Who asked for least is served first, however many others are ready."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import gevent
import pytest

from tipbox.server.process.circuits import BURST_SECONDS, Circuit
from tipbox.server.process.connections import Connection
from tipbox.server.process.turns import Turns

CIRCUITS = 200
STREAMS = 16


@pytest.fixture(autouse=True)
def _patience() -> Iterator[None]:
    with gevent.Timeout(60):
        yield


def test_a_visitor_waits_for_few_requests_of_hundreds_of_circuits() -> None:
    """Each has sixteen streams that ask and ask again; a visit is some requests, one after the other."""
    turns, served = Turns(), 0
    # By a clock that stands: on a busy machine they would ask for less than their turns give them.
    now = time.monotonic()
    circuits = [Circuit(f"c{number}", 64.0, lambda: now) for number in range(CIRCUITS)]

    def ask(circuit: Circuit) -> None:
        nonlocal served
        while True:
            circuit.turn()
            turns.place(circuit.asked).wait()
            served += 1

    attackers = [gevent.spawn(ask, circuit) for circuit in circuits for _ in range(STREAMS)]
    while served < len(attackers):
        gevent.sleep(0.01)
    visitor, before, waited = Circuit("visitor", 64.0, lambda: now), served, []
    for _ in range(5):
        visitor.turn()
        turns.place(visitor.asked).wait()
        waited.append(served - before)
        before = served
    gevent.killall(attackers)

    assert max(waited) < 20, "it waited for a round of all others"


def test_among_equals_who_came_first_is_first() -> None:
    turns, served = Turns(), list[int]()

    def ask(number: int) -> None:
        turns.place(1.0).wait()
        served.append(number)

    gevent.joinall([gevent.spawn(ask, number) for number in range(10)], raise_error=True)
    assert served == list(range(10))


def test_who_asked_for_much_is_served_however_many_come_who_asked_for_nothing() -> None:
    """An upload goes on beside a thousand circuits that ask for a page now and then, and keep the worker busy."""
    turns, served = Turns(patience=0.2), 0

    def come() -> None:
        nonlocal served
        while True:
            turns.place(0.0).wait()
            served += 1

    crowd = [gevent.spawn(come) for _ in range(8)]
    while not served:
        gevent.sleep(0.01)
    upload = gevent.spawn(turns.place(1.0).wait)
    upload.join(30)
    gevent.killall(crowd)

    assert upload.successful(), "it was held up for as long as they came"


def test_one_that_does_not_wait_any_more_holds_nobody_up() -> None:
    turns = Turns()
    with gevent.Timeout(0, False):
        turns.place(0.0).wait()
    turns.place(1.0).wait()
    turns.place(1.0).wait()


def test_a_connection_that_gave_way_waits_for_no_turn() -> None:
    """Hundreds of circuits open connections, ask and go on to the next: those dropped would fill the worker's pool."""
    ours, theirs = socket.socketpair()
    turns, connection = Turns(), Connection(ours)
    connection.turn = turns.place(1.0)
    waiting = gevent.spawn(connection.turn.wait)
    # No turn is given meanwhile: the loop does not run.
    connection.drop()
    assert connection.turn.is_set()
    turns.leave()
    waiting.join(30)
    turns.place(2.0).wait()
    assert waiting.ready()
    ours.close()
    theirs.close()


def test_those_that_left_are_not_kept() -> None:
    turns = Turns()
    staying = turns.place(9.0)
    for _ in range(10_000):
        turns.place(5.0).set()
        turns.leave()
    assert len(turns) < 1000
    staying.wait()


def test_what_a_circuit_asked_for_is_forgotten_with_time() -> None:
    now = 1000.0
    circuit = Circuit("one", 4.0, lambda: now)
    asked = []
    for _ in range(8):
        circuit.turn()
        asked.append(circuit.asked)
    assert asked == sorted(asked)
    assert asked[-1] == pytest.approx(2.0)
    now += BURST_SECONDS
    assert circuit.asked == 0
