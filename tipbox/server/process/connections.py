"""Who holds connections: when a worker has too many, the circuits that hold most lose some first."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from gevent.event import Event

from tipbox.server.process.circuits import MOST_CONNECTIONS


class Connection:
    """One connection of a worker. ``idle``: between two requests, or before the first."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.circuit: str | None = None
        """The name of its circuit; None until its first line has come, empty when that named none."""
        self.idle = True
        self.wiped = False
        self.gone = Event()
        """Set when it was ended from here: for those who wait for something else than its next bytes."""
        self.turn: Event | None = None
        """What its request waits for; set when it ends, too. Else it holds a place of the worker's until its turn."""

    def drop(self) -> None:
        """End it: whoever reads from it sees its end."""
        self.gone.set()
        if self.turn is not None:
            self.turn.set()
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)


class Connections:
    """All connections of a worker, at most ``most``, and of one circuit at most ``most_of_one``."""

    def __init__(self, most: int, most_of_one: int = MOST_CONNECTIONS) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._open: dict[Connection, None] = {}
        self._held: dict[str | None, dict[Connection, None]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """A new connection; makes room when there are too many."""
        self._open[connection] = None
        # Until its first line names its circuit, it counts with all that have not named theirs yet.
        self._hold(connection)
        if len(self._open) > self._most:
            greedy = max(self._held, key=lambda circuit: len(self._held[circuit]))
            self._make_room(greedy, connection)

    def name(self, connection: Connection, circuit: str) -> None:
        """Its circuit is known now; makes room when that has too many."""
        if connection not in self._open:  # it was dropped while its line was being read
            connection.circuit = circuit
            return
        self._forget(connection)
        connection.circuit = circuit
        self._hold(connection)
        if len(self._held[circuit]) > self._most_of_one:
            self._make_room(circuit, connection)

    def remove(self, connection: Connection) -> None:
        """It has ended."""
        if connection in self._open:
            del self._open[connection]
            self._forget(connection)

    def drop_idle(self) -> None:
        """End those that wait for nothing: the worker stops."""
        for connection in [other for other in self._open if other.idle]:
            connection.drop()

    def drop_all_of(self, circuit: str) -> None:
        """End all connections of a circuit."""
        for connection in list(self._held.get(circuit, ())):
            self.remove(connection)
            connection.drop()

    def _make_room(self, circuit: str | None, newest: Connection) -> None:
        # The newest goes only when that circuit has no other: a flood must not keep new visitors out.
        theirs = [other for other in self._held[circuit] if other is not newest] or [newest]
        # An idle one loses nothing of what it was sending.
        victim = next((other for other in theirs if other.idle), theirs[0])
        self.remove(victim)
        victim.drop()

    def _hold(self, connection: Connection) -> None:
        self._held.setdefault(connection.circuit, {})[connection] = None

    def _forget(self, connection: Connection) -> None:
        theirs = self._held[connection.circuit]
        del theirs[connection]
        if not theirs:
            del self._held[connection.circuit]
