"""Stands where Tor stands before a server, and writes down what it can see of a visit: heads, order, connections."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Seen:
    """One request: on which connection of the visit, its head, byte for byte, and moments in seconds.

    Attributes:
        opened: when its connection was.
        at: when it came.
        ended: when the last of its answer went back.
        pieces: in how many it came.
    """

    connection: int
    head: bytes
    opened: float = 0.0
    at: float = 0.0
    ended: float = 0.0
    pieces: int = 1

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()


class Visit(list[Seen]):
    """What was asked for in one visit.

    Attributes:
        openings: when each of its connections was opened: those on which nothing was asked for too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.openings: list[float] = []

    @property
    def unused(self) -> list[float]:
        """When connections were opened on which nothing was asked for."""
        used = {one.opened for one in self}
        return [moment for moment in self.openings if moment not in used]


@dataclass
class Recorder:
    """A listening port; ``connect`` opens a connection to the server."""

    connect: Callable[[], socket.socket]
    seen: Visit = field(default_factory=Visit)
    change: Callable[[str, bytes], bytes] = lambda _target, answer: answer

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._connections = 0
        self.open = 0
        """Connections that the visitor has open."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def visit(self) -> Visit:
        """What came since the last call, connections numbered from 0."""
        with self._lock:
            taken, self.seen, self._connections = self.seen, Visit(), 0
        return taken

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            opened = time.monotonic()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.open += 1
                self.seen.openings.append(opened)
            threading.Thread(target=self._serve, args=(client, opened), daemon=True).start()

    def _serve(self, client: socket.socket, opened: float) -> None:
        try:
            self._pass(client, opened)
        finally:
            with self._lock:
                self.open -= 1

    def _pass(self, client: socket.socket, opened: float) -> None:
        with contextlib.suppress(OSError), client, self.connect() as server:
            number: int | None = None
            asked: list[Seen] = []
            threading.Thread(target=_pump, args=(server, client, asked), daemon=True).start()
            pending, pieces = b"", 0
            try:
                while data := client.recv(1 << 16):
                    at = time.monotonic()
                    pending, pieces = pending + data, pieces + 1
                    while b"\r\n\r\n" in pending:
                        head, _, pending = pending.partition(b"\r\n\r\n")
                        with self._lock:
                            if number is None:
                                number, self._connections = self._connections, self._connections + 1
                            asked.append(Seen(number, head + b"\r\n\r\n", opened, at, pieces=pieces))
                            self.seen.append(asked[-1])
                        pieces = 0
                    server.sendall(data)
            finally:
                server.shutdown(socket.SHUT_RDWR)  # to close it would end nothing while it is read from


def _pump(source: socket.socket, sink: socket.socket, asked: list[Seen]) -> None:
    """Passes answers on; nobody asks for a second thing on a connection before the first one is there."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            # Before it goes: once it is there the visitor asks for the next at once, and that would seem to come first.
            asked[-1].ended = time.monotonic()
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
