"""Who holds connections: when a worker has too many, the circuits that hold most lose some first."""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import suppress
from typing import Any


class Connection:
    """One connection of a worker. ``idle``: between two requests, or before the first."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.circuit = ""
        self.idle = True
        self.wiped = False

    def drop(self) -> None:
        """End it: whoever reads from it sees its end."""
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)


class Connections:
    """All connections of a worker."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[Connection, None] = {}
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """A new connection; makes room when there are too many."""
        self._open[connection] = None
        # Until its first request names its circuit, it counts with all that have named none.
        self._held[""] += 1
        if len(self._open) > self._most:
            self._make_room(connection)

    def name(self, connection: Connection, circuit: str) -> None:
        """Its circuit is known now."""
        if connection in self._open:  # it may have been dropped while its head was being read
            self._forget(connection.circuit)
            self._held[circuit] += 1
        connection.circuit = circuit

    def remove(self, connection: Connection) -> None:
        """It has ended."""
        if connection in self._open:
            del self._open[connection]
            self._forget(connection.circuit)

    def drop_idle(self) -> None:
        """End those that wait for nothing: the worker stops."""
        for connection in [one for one in self._open if one.idle]:
            connection.drop()

    def _make_room(self, newest: Connection) -> None:
        greedy, _ = max(self._held.items(), key=lambda held: held[1])
        # The newest goes only when that circuit has no other: a flood must not keep new visitors out.
        theirs = [one for one in self._open if one.circuit == greedy and one is not newest] or [newest]
        # An idle one loses nothing of what it was sending.
        victim = next((one for one in theirs if one.idle), theirs[0])
        self.remove(victim)
        victim.drop()

    def _forget(self, circuit: str) -> None:
        self._held[circuit] -= 1
        if self._held[circuit] <= 0:
            del self._held[circuit]
