"""A way to a store that is slow, or that is cut: what lies between two machines, on one."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POSTGRESQL = ".s.PGSQL.5432"
_PIECE = 1 << 18


class Relay:
    """Hands on what comes to a unix socket or a port, ``delay`` seconds later in each direction.

    ``cut``: all connections end, and none begins until ``mend``. ``hold``: they stay, and nothing comes through any
    more, as when a machine is gone: whoever waits is told nothing. ``at``: something happens at an exact place.
    ``lead``: connections that begin from now on go elsewhere.
    """

    def __init__(self, here: Path | int, there: Path | tuple[str, int], delay: float = 0.0) -> None:
        self._there = there
        self.delay = delay
        self._flows = threading.Event()
        self._flows.set()
        self._is_cut = False
        self._left = 0
        self._act: Callable[[], None] | None = None
        self._one = threading.Lock()
        self._open: set[socket.socket] = set()
        self._leading: Counter[Path | tuple[str, int]] = Counter()
        if isinstance(here, Path):
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(here))
            here.chmod(0o666)
        else:
            self._listener = socket.create_server(("127.0.0.1", here))
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections, and let none begin."""
        self._is_cut = True
        self._flows.set()
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Hand nothing on."""
        self._flows.clear()

    def mend(self) -> None:
        """Hand on what comes, and what was held."""
        self._is_cut = False
        self._flows.set()

    def at(self, number: int, act: Callable[[], None]) -> None:
        """``act`` when the ``number``-th piece comes, in either direction; that piece is not handed on."""
        with self._one:
            self._left, self._act = number, act

    def never_mind(self) -> bool:
        """Whether what ``at`` waited for has happened; it will not any more."""
        with self._one:
            self._act, has_happened = None, self._act is None
        return has_happened

    def _count(self) -> None:
        with self._one:
            self._left -= 1
            if self._act is None or self._left:
                return
            act, self._act = self._act, None
            act()
        raise ConnectionAbortedError

    def lead(self, there: Path | tuple[str, int]) -> None:
        """Let what begins from now on go there; what goes on stays where it is."""
        self._there = there

    def leads(self, there: Path | tuple[str, int]) -> bool:
        """Whether a connection to there is open still."""
        return self._leading[there] > 0

    def close(self) -> None:
        """End all."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with self._one:
            there = self._there
            self._leading[there] += 1
        try:
            self._carry_both(near, there)
        finally:
            with self._one:
                self._leading[there] -= 1

    def _carry_both(self, near: socket.socket, there: Path | tuple[str, int]) -> None:
        far = socket.socket(socket.AF_INET if isinstance(there, tuple) else socket.AF_UNIX)
        try:
            if self._is_cut:
                raise ConnectionRefusedError
            far.connect(there if isinstance(there, tuple) else str(there))
        except OSError:
            near.close()
            far.close()
            return
        self._open |= {near, far}
        back = threading.Thread(target=self._carry, args=(far, near), daemon=True)
        back.start()
        self._carry(near, far)
        back.join()
        self._open -= {near, far}
        near.close()
        far.close()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                if self._act is not None:
                    self._count()
                if self.delay:
                    time.sleep(self.delay)
                self._flows.wait()
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def to_postgresql(folder: Path, postgresql: str, delay: float = 0.0) -> Iterator[Relay]:
    """A relay to the PostgreSQL whose socket is in ``postgresql``; ``folder`` takes its place in URLs."""
    relay = Relay(folder / POSTGRESQL, Path(postgresql) / POSTGRESQL, delay)
    try:
        yield relay
    finally:
        relay.close()
