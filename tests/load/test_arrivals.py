"""Who opens connection after connection is turned away, and keeps nobody else out of the queue of the kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from tipbox.server.process.arrivals import LET_IN, LOOKED_AT, Arrivals, turned_away
from tipbox.server.process.circuits import MOST_REFUSALS, NEW_CONNECTIONS, NEW_PER_SECOND, Circuits
from tipbox.server.uploads.cells import Cells

BACKLOG = 1100


class Clock:
    """Seconds, as the test wants them."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Queue:
    """A listener, what accepts for it, and those who wait there."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.clock = Clock()
        self.circuits = Circuits(32, Cells(), self.clock)
        self._opened = opened
        self._path = str(folder / "line")
        listener = opened.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(self._path)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self._listener = listener
        self.let_in: list[bytes] = []
        self._arrivals = Arrivals(listener, self._handle, self._spawn, partial(turned_away, self.circuits))
        self._arrivals.init_socket()

    def _handle(self, client: Any, _: Any) -> None:
        """One that was let in: its circuit counts it, as the worker does."""

    def _spawn(self, _run: Any, _handle: Any, _close: Any, taken: tuple[Any, Any]) -> None:
        client = self._opened.enter_context(taken[0])
        client.setblocking(False)
        try:
            self.let_in.append(client.recv(1024).split()[2])
        except BlockingIOError:
            self.let_in.append(b"")

    def silent(self) -> Any:
        """A connection that says nothing."""
        client = self._opened.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(self._path)
        return client

    def come(self, circuit: str, times: int = 1) -> list[Any]:
        """Connections that say their circuit, as Tor makes them."""
        clients = []
        for _ in range(times):
            client = self.silent()
            client.sendall(f"PROXY TCP6 {circuit} ::1 225 80\r\n".encode())
            clients.append(client)
        return clients

    def turn(self) -> list[bytes]:
        """The loop comes to the listener once: who is let in by it."""
        before = len(self.let_in)
        self._arrivals._do_read()
        return self.let_in[before:]


@pytest.fixture(name="queue")
def _queue(tmp_path: Path) -> Iterator[Queue]:
    with gevent.Timeout(60), ExitStack() as opened:
        yield Queue(tmp_path, opened)


def ended(client: Any) -> bool:
    """Whether the other side has closed it; reset, when it had not read all."""
    try:
        return bool(client.recv(1) == b"")
    except ConnectionResetError:
        return True


def used_up(queue: Queue, address: str = "fc00::bad") -> None:
    """A circuit has opened as many as it may at once."""
    circuit = queue.circuits.of(socket.inet_pton(socket.AF_INET6, address))
    assert [circuit.comes() for _ in range(NEW_CONNECTIONS + 1)] == [True] * NEW_CONNECTIONS + [False]


def test_a_thousand_connections_of_one_circuit_keep_a_visitor_for_some_turns_of_the_loop(queue: Queue) -> None:
    used_up(queue)
    flood = queue.come("fc00::bad", 1000)
    queue.come("fc00::9")

    turns = 0
    while not queue.let_in:
        queue.turn()
        turns += 1

    assert queue.let_in == [b"fc00::9"]
    assert turns <= 1 + 1000 // LOOKED_AT
    assert all(ended(client) for client in flood), "one was neither let in nor closed"


def test_a_circuit_opens_so_many_at_once_and_then_a_few_a_second(queue: Queue) -> None:
    used_up(queue)
    one, other = (queue.circuits.of(bytes(15) + bytes([number])) for number in (1, 2))
    for _ in range(NEW_CONNECTIONS):
        assert one.comes()
    assert not one.comes()
    assert other.comes()
    queue.clock.now += 2
    assert [one.comes() for _ in range(2 * NEW_PER_SECOND + 1)] == [True] * 2 * NEW_PER_SECOND + [False]
    queue.clock.now += 86_400
    assert sum(one.comes() for _ in range(2 * NEW_CONNECTIONS)) == NEW_CONNECTIONS


def test_one_that_opened_many_is_not_forgotten_before_it_has_what_a_new_one_has(queue: Queue) -> None:
    one = queue.circuits.of(bytes(16))
    while one.comes():
        pass
    queue.circuits.forget()
    assert queue.circuits.of(bytes(16)) is one
    queue.clock.now += NEW_CONNECTIONS / NEW_PER_SECOND + 1
    queue.circuits.forget()
    assert len(queue.circuits) == 0


def test_one_that_is_closed_after_refusals_is_turned_away_too(queue: Queue) -> None:
    circuit = queue.circuits.of(socket.inet_pton(socket.AF_INET6, "fc00::bad"))
    for _ in range(MOST_REFUSALS):
        circuit.answered(refused=True)
    queue.come("fc00::bad")
    queue.come("fc00::9")

    assert queue.turn() == [b"fc00::9"]


def test_who_has_not_said_its_circuit_yet_is_let_in_and_asked_later(queue: Queue) -> None:
    used_up(queue)
    queue.silent()
    assert queue.turn() == [b""]


def test_nothing_is_known_of_a_circuit_by_looking_at_it(queue: Queue) -> None:
    assert not turned_away(queue.circuits, b"PROXY TCP6 fc00::1 ::1 1 2\r\n")
    assert not turned_away(queue.circuits, b"PROXY UNKNOWN\r\n")
    assert len(queue.circuits) == 0


def test_who_names_none_is_one_circuit(queue: Queue) -> None:
    nobody = queue.circuits.of(b"")
    while nobody.comes():
        pass
    assert turned_away(queue.circuits, b"GET / HTTP/1.1\r\n")


def test_one_is_let_in_at_a_time_and_more_while_the_queue_grows(queue: Queue) -> None:
    """Else one worker takes all, and the others have nothing to do; or all wait where nobody is asked who they are."""
    for number in range(100):
        queue.come(f"fc00::{number + 1:x}")

    assert [len(queue.turn()) for _ in range(9)] == [1, 2, 4, 8, LET_IN, LET_IN, LET_IN, LET_IN, LET_IN]
    while queue.turn():
        pass
    queue.come("fc00::9")
    queue.come("fc00::9")
    assert len(queue.turn()) == 1
