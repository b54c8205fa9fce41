"""What a circuit may hold and ask for: the bounds that keep one from taking what belongs to the others.

Each request takes its circuit's turn before a byte of it is parsed, so that no route and no error can be had without.
A circuit that asks faster than its turns come is served as they come; others do not notice it. One that opens
connections faster than it may is turned away. All bounds here are of one worker. A worker forgets a circuit once it has
what a new one has, ``BURST_SECONDS`` after its last request; its name stays the same in all workers for as long as
anything is counted by it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final, Self

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from tipbox.formats.base.limits import MIB
from tipbox.server.refusal import Refusal
from tipbox.server.uploads.cells import NAMED, SECRET_SIZE, Cells
from tipbox.server.web.worker_keys import LONGEST_WINDOW

MOST_CONNECTIONS: Final = 32
"""Connections of a circuit; as many as Tor lets it have (``HiddenServiceMaxStreams``)."""
NEW_CONNECTIONS: Final = 32
"""Connections that a circuit may open at once; browsers open six, and keep them."""
NEW_PER_SECOND: Final = 4
"""And so many a second from then on. Others are closed before anything is made for them (arrivals.py)."""
MOST_IN_FLIGHT: Final = 16
"""Requests of a circuit that are being read or answered at a time; more wait."""
MOST_BYTES_IN_FLIGHT: Final = 32 * MIB
"""Bytes that have come of bodies of a circuit's requests that are not answered yet: eight of the largest runs."""
MOST_REFUSALS: Final = 100
"""Errors in a row that a circuit is answered; then its connections are closed."""
CLOSED_SECONDS: Final = 10
"""How long such a circuit stays closed."""
BURST_SECONDS: Final = 10
"""A circuit that was silent for this long may ask for as much at once."""
LONGEST_LINE: Final = 107
"""Bytes of Tor's circuit line (PROXY protocol v1), its end included."""
_NEW_SECONDS: Final = NEW_CONNECTIONS / NEW_PER_SECOND
"""After which a circuit that opened none may open as many at once again; not longer than ``BURST_SECONDS``."""
_LINE: Final = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) [0-9]{1,5} [0-9]{1,5}\r\n")


class BadLine(Exception):
    """What should be Tor's circuit line is none."""


def read_line(data: bytes) -> tuple[bytes | None, int]:
    """The address of Tor's circuit line at the start of a connection, and the bytes that the line takes.

    Returns:
        None when more has to come; an empty address and 0 when this is no such line at all.

    Raises:
        BadLine: it begins like one and names no circuit.
    """
    start = b"PROXY "
    if not data.startswith(start[: len(data)]):
        return b"", 0
    end = data.find(b"\r\n") + 2
    if end < len(b"\r\n"):
        if len(data) >= LONGEST_LINE:
            raise BadLine
        return None, 0
    found = _LINE.fullmatch(data[:end])
    if found is None or end > LONGEST_LINE:
        raise BadLine
    family = socket.AF_INET6 if found[1] == b"6" else socket.AF_INET
    try:
        # Not ipaddress, which takes ten times as long: each connection of a flood comes here.
        address, _ = (socket.inet_pton(family, written.decode()) for written in found.groups()[1:])
    except OSError:
        raise BadLine from None
    return address, end


class Circuit:
    """One circuit. ``name``: what stands for it everywhere else; nothing of Tor's address is in it."""

    def __init__(self, name: str, per_second: float, clock: Callable[[], float]) -> None:
        self.name = name
        self._clock = clock
        self._step = 1 / per_second
        self._due = clock() - BURST_SECONDS
        """When what was asked for so far is paid; never longer ago than the burst."""
        self._places = BoundedSemaphore(MOST_IN_FLIGHT)
        self._bytes = 0
        self._refusals = 0
        self._closed_until = 0.0
        self._opened = clock() - _NEW_SECONDS
        """When the connections that it opened are paid, as ``_due``."""
        self.connections = 0

    @property
    def like_new(self) -> bool:
        """Whether nothing is lost when it is forgotten: no connection, no debt, not closed."""
        now = self._clock()
        return (
            not self.connections
            and not self.closed
            and self._due <= now - BURST_SECONDS
            and self._opened <= now - _NEW_SECONDS
        )

    @property
    def closed(self) -> bool:
        """Whether it went on after so many refusals that it is closed for now."""
        return self._clock() < self._closed_until

    @property
    def shut(self) -> bool:
        """Whether its next connection is closed unread: it is closed, or opened too many."""
        return self.closed or self._opened + 1 / NEW_PER_SECOND > self._clock()

    def comes(self) -> bool:
        """A connection comes: whether it may stay."""
        if self.shut:
            return False
        self._opened = max(self._opened, self._clock() - _NEW_SECONDS) + 1 / NEW_PER_SECOND
        return True

    def in_flight(self, gone: Event) -> Share:
        """A place among the requests in flight, to be entered, and what the request there holds.

        ``gone`` is set when its connection has ended.
        """
        return Share(self, self._places, gone)

    def turn(self) -> float:
        """Take the next turn: in how many seconds it comes."""
        now = self._clock()
        self._due = max(self._due, now - BURST_SECONDS) + self._step
        return max(0.0, self._due - now)

    @property
    def asked(self) -> float:
        """For how many seconds' worth of turns it has asked lately, BURST_SECONDS or more when it has to wait."""
        return max(0.0, self._due - self._clock() + BURST_SECONDS)

    def hold(self, size: int, own: int) -> None:
        """``size`` more bytes are in flight, of a request that holds ``own``; Refusal ``slow-down``: too many."""
        # One alone may always go on: a courier delivers gigabytes.
        if self._bytes > own and self._bytes + size > MOST_BYTES_IN_FLIGHT:
            raise Refusal("slow-down")
        self._bytes += size

    def let_go(self, size: int) -> None:
        """``size`` bytes of a request are in flight no longer."""
        self._bytes -= size

    def answered(self, *, refused: bool) -> bool:
        """Note an answer; whether the circuit is closed by it."""
        self._refusals = self._refusals + 1 if refused else 0
        if self._refusals < MOST_REFUSALS:
            return False
        self._refusals = 0
        self._closed_until = self._clock() + CLOSED_SECONDS
        return True


class Share:
    """A request's place, and what it holds of its circuit's bytes in flight. A context manager."""

    def __init__(self, circuit: Circuit, places: BoundedSemaphore, gone: Event) -> None:
        self.circuit = circuit
        self.held = 0
        self._places = places
        self._gone = gone
        self._placed = False

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self) -> None:
        """Wait until there is a place.

        Raises:
            ConnectionAbortedError: the connection was gone before there was one.
        """
        # What waits reads nothing, so it would not see that its connection gave way to others of the circuit.
        while not self._places.acquire(blocking=False):
            gevent.wait([self._places, self._gone], count=1)
            if self._gone.is_set():
                raise ConnectionAbortedError
        self._placed = True

    def leave(self) -> None:
        """Give up the place, if there is one, and what is held."""
        self.circuit.let_go(self.held)
        self.held = 0
        if self._placed:
            self._placed = False
            self._places.release()

    def take(self, size: int) -> None:
        """``size`` more bytes have come; Refusal ``slow-down`` when the circuit holds too many."""
        self.circuit.hold(size, self.held)
        self.held += size


class Circuits:
    """All circuits that a worker knows.

    Args:
        per_second: turns of each circuit.
        cells: memory that all workers share. They name a circuit alike, so that what they count together is one count.
            What makes the names is replaced once nothing is counted by them any more: who finds the memory later cannot
            try all addresses.
        clock: in seconds, never set back, and the same for all workers.
    """

    def __init__(self, per_second: float, cells: Cells, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._cells = cells
        self._clock = clock
        self._known: dict[str, Circuit] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, address: bytes) -> Circuit:
        """The circuit with this address; with none, that of all who name none."""
        name = ""
        if address:
            with self._cells.alone() as numbers:
                name = self._name(address)
                numbers[NAMED] = self._clock()
        circuit = self._known.get(name)
        if circuit is None:
            circuit = self._known[name] = self._new(name)
        return circuit

    def is_shut(self, address: bytes) -> bool:
        """Whether the circuit with this address is let in no more for now; none becomes known by it."""
        # Without the numbers alone: where the names change under a reader, it is one that knows no circuit.
        circuit = self._known.get(self._name(address) if address else "")
        return circuit is not None and circuit.shut

    def own(self) -> Circuit:
        """A circuit of a connection's own, where none is named."""
        return self._new(secrets.token_hex(16))

    def forget(self) -> None:
        """Forget all that have what a new one has."""
        for name in [name for name, circuit in self._known.items() if circuit.like_new]:
            del self._known[name]
        with self._cells.alone() as numbers:
            if self._known:
                numbers[NAMED] = self._clock()
            # Budgets count by names for so long, and openings for as long as any is in the table.
            elif self._clock() - numbers[NAMED] > LONGEST_WINDOW and not self._cells.table[:].strip(b"\0"):
                self._cells.secret[:] = secrets.token_bytes(SECRET_SIZE)

    def _name(self, address: bytes) -> str:
        # Who finds the name in memory has to try addresses, and needs the secret.
        return hashlib.blake2b(address, digest_size=16, key=self._cells.secret).hexdigest()

    def _new(self, name: str) -> Circuit:
        return Circuit(name, self._per_second, self._clock)
