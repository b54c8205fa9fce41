"""Who comes: accepts connections, and turns away those of circuits that open too many before anything is made for them.

Until a connection is accepted nobody knows whose it is, and all of them wait in one queue of the kernel, behind which
Tor is refused. So those that are turned away have to cost next to nothing: they are accepted, looked at and closed
until one comes that is let in, or enough were looked at for others to go on.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from gevent.server import StreamServer

from tipbox.server.process.circuits import LONGEST_LINE, BadLine, Circuits, read_line

LOOKED_AT: Final = 64
"""Connections of those who are turned away that are looked at in a row; each takes some 30 microseconds."""
LET_IN: Final = 16
"""Connections that are let in in a row, when more and more are waiting."""


class Arrivals(StreamServer):  # type: ignore[misc]
    """What accepts for a listener.

    Args:
        listener: gevent's socket.
        handle: called with each connection that is let in, and its address.
        spawn: a pool of greenlets.
        turned_away: whether a connection is, by the first bytes that have come.
    """

    # The worker that wakes first does not take all that wait, or the others would have nothing to do. But while the
    # queue does not get empty, twice as many each time: requests are answered in the order of turns.py, and this queue
    # has none.
    max_accept = 1

    def __init__(self, listener: Any, handle: Any, spawn: Any, turned_away: Callable[[bytes], bool]) -> None:
        self._turned_away = turned_away
        self._emptied = False
        super().__init__(listener, handle=handle, spawn=spawn)

    def _do_read(self) -> None:
        self._emptied = False
        super()._do_read()
        self.max_accept = 1 if self._emptied else min(2 * self.max_accept, LET_IN)

    def do_read(self) -> Any:
        """The next connection that is let in; None when there is none, or enough were looked at."""
        for _ in range(LOOKED_AT):
            taken = super().do_read()
            if taken is None:
                self._emptied = True
                return None
            client = taken[0]
            if not self._turned_away(_first(client)):
                return taken
            client.close()
        return None


def _first(client: Any) -> bytes:
    """What has come, left where it is; Tor writes its line as soon as it is connected."""
    client.setblocking(False)
    with suppress(OSError):
        first: bytes = client.recv(LONGEST_LINE, socket.MSG_PEEK)
        return first
    return b""


def turned_away(circuits: Circuits, first: bytes) -> bool:
    """Whether a connection that begins like this is of a circuit that is let in no more."""
    with suppress(BadLine):
        address, _ = read_line(first)
        return address is not None and circuits.is_shut(address)
    return False
