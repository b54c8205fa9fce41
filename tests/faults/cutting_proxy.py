"""A TCP proxy that does harm at exact bytes: cuts the line, kills the server, or shows what passes.

Everything is decided by how many bytes the client has sent through it, never by a clock, so a seed repeats a run as far
as the network itself allows.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

CHUNK = 64 * 1024
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing sends RST, as a line that breaks does."""


@dataclass(order=True)
class Fault:
    """What happens once the client has sent ``at`` bytes in all; the connection that carried them is cut."""

    at: int
    act: Callable[[], None] = field(compare=False, default=lambda: None)
    name: str = field(compare=False, default="cut")


@dataclass(frozen=True)
class Watch:
    """``act`` is called before ``pattern`` is sent on to the server; it gives whether the connection goes on."""

    pattern: bytes
    act: Callable[[], bool]


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    # close() alone waits for a thread that is inside recv() on the same socket.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
    connection.close()


class CuttingProxy:
    """Listens on a free port of 127.0.0.1 and connects to ``target``, a TCP port there or the path of a socket."""

    def __init__(self, target: int | str, *, prefix: Callable[[], bytes] = lambda: b"") -> None:
        """Start listening.

        Args:
            target: where the server listens.
            prefix: written to the server first on each connection, as Tor writes its circuit line.
        """
        self._target = target
        self._prefix = prefix
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._watches: list[Watch] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.sent = 0
        self.done: list[Fault] = []
        self.failures: list[BaseException] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        """Where a client finds the proxy."""
        return f"http://127.0.0.1:{self.port}"

    def plan(self, fault: Fault) -> None:
        """Add a fault."""
        with self._lock:
            insort(self._faults, fault)

    def watch(self, watch: Watch) -> None:
        """Add a watch; watches look at each chunk of the client."""
        self._watches.append(watch)

    def close(self) -> None:
        """Close everything; what went wrong inside a fault is raised here."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _reset(connection)
        for thread in [self._accepting, *self._threads]:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:
                _reset(client)
                continue
            with self._lock:
                self._open |= {client, server}
            for pump in (self._upwards, self._downwards):
                thread = threading.Thread(target=pump, args=(client, server), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, int):
            server = socket.create_connection(("127.0.0.1", self._target))
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
        server.sendall(self._prefix())
        return server

    def _cut(self, *connections: socket.socket) -> None:
        with self._lock:
            mine = self._open.intersection(connections)
            self._open -= mine
        for connection in mine:
            _reset(connection)

    def _upwards(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while chunk := client.recv(CHUNK):
                if not all(watch.act() for watch in self._watches if watch.pattern in chunk):
                    break
                fault, allowed = self._next_fault(len(chunk))
                server.sendall(chunk[:allowed])
                if fault is not None:
                    self._cut(client, server)
                    fault.act()
                    self.done.append(fault)
                    break
            else:
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        except BaseException as error:  # noqa: BLE001 (raised again by close)
            self.failures.append(error)
        self._cut(client, server)

    def _next_fault(self, size: int) -> tuple[Fault | None, int]:
        """The fault that is due within the next ``size`` bytes, and how many of them go on before it."""
        with self._lock:
            if self._faults and self._faults[0].at <= self.sent + size:
                fault = self._faults.pop(0)
                allowed = max(0, fault.at - self.sent)
                self.sent += allowed
                return fault, allowed
            self.sent += size
            return None, size

    def _downwards(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := server.recv(CHUNK):
                client.sendall(chunk)
        self._cut(client, server)
