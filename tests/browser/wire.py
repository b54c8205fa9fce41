"""The line between a browser and the server, in the test's hands: it stands where Tor stands.

It listens on loopback, opens each connection to the server as Tor does (with the circuit line), and records every
request and the bytes of both directions. It can cut the line, hold uploads back, lose answers, and keep paths away.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from support.world import Server

CHUNK: Final = 1 << 18
STEP: Final = 0.05
"""Seconds between two looks at whether a request is still stalled."""
PARTS: Final = "/api/envelope/parts/"
SEALED_PART: Final = 65_568
_CIRCUITS: Final = itertools.count(1)


@dataclass
class Exchange:
    """One request and its answer, as they passed; bodies up to what the wire keeps."""

    method: str
    target: str
    headers: dict[str, str]
    head: bytes
    body: bytearray = field(default_factory=bytearray)
    sent: int = 0
    """Bytes of body that passed."""
    raw_answer: bytearray = field(default_factory=bytearray)
    received: int = 0
    """Bytes of answer that passed, head included."""

    @property
    def announced(self) -> int:
        """Content-Length of the request."""
        return int(self.headers.get("content-length", "0"))

    @property
    def status(self) -> int:
        return int(self.raw_answer.split(b" ", 2)[1])

    @property
    def answer_headers(self) -> dict[str, str]:
        return _headers(bytes(self.raw_answer).partition(b"\r\n\r\n")[0])

    @property
    def answer_body(self) -> bytes:
        """The answer's body, unpacked."""
        body = bytes(self.raw_answer).partition(b"\r\n\r\n")[2]
        return gzip.decompress(body) if self.answer_headers.get("content-encoding") == "gzip" else body

    @property
    def wire_size(self) -> int:
        """Bytes that this exchange cost in both directions, heads included."""
        return len(self.head) + self.sent + self.received


@dataclass
class Wire:
    """One listening port in front of a server."""

    server: Server
    circuit: str = field(default_factory=lambda: f"fc00:dead:beef:4dad::{next(_CIRCUITS):x}:b1")
    """A line of its own is a circuit of its own, with budgets that no other line has used."""
    keep: int = 1 << 19
    """Bytes of each body and answer that are recorded."""
    exchanges: list[Exchange] = field(default_factory=list)
    blocked: Callable[[str], bool] = lambda _path: False
    """Paths whose requests end in a closed connection."""
    stalled: Callable[[str], bool] = lambda _path: False
    """Paths whose requests are not passed on for as long as this holds: on a bad line it is as if for a long time."""
    answers: dict[str, bytes] = field(default_factory=dict)
    """Paths that the wire answers itself, with whole answers; not recorded."""
    cut_after: dict[str, bytes] = field(default_factory=dict)
    """The same, and the connection ends behind them."""
    cuts: list[int] = field(default_factory=list)
    """After so many bytes of upload since the last cut the line is cut, once for each entry."""
    losses: list[str] = field(default_factory=list)
    """The answer to the next request whose `METHOD path` starts like an entry is lost; each entry counts once."""
    last: str = ""
    """A `METHOD path`: the answer to the first such request is lost, and the line goes down with it. Otherwise the
    browser sends a request again by itself when its connection had carried another one before."""
    down: bool = False
    """Refuse everything."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._held = threading.Event()
        self._since_cut = 0
        self._closed = False
        self._stop = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._spawn(self._accept)

    # For tests

    def forget(self) -> None:
        """Start a new record."""
        with self._lock:
            self.exchanges.clear()

    def hold(self) -> None:
        """From now on parts of files do not pass."""
        self._held.clear()
        self._open.clear()

    def wait_until_held(self, timeout: float = 240) -> None:
        """Wait until an upload stands before the held line."""
        assert self._held.wait(timeout), "no part of a file came"

    def release(self) -> None:
        """Parts of files pass again."""
        self._open.set()

    def seen(self, start: str = "") -> list[Exchange]:
        """What passed so far and whose `METHOD path` begins like this."""
        with self._lock:
            return [one for one in self.exchanges if f"{one.method} {one.target}".startswith(start)]

    @property
    def traffic(self) -> int:
        """Bytes of all recorded exchanges, both directions."""
        return sum(one.wire_size for one in self.seen())

    def close(self) -> None:
        """Close the port and everything that is open."""
        self._closed = True
        self._stop.set()
        self._open.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

    def cut_all(self) -> None:
        """Cut every connection that is open now."""
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            _reset(one)

    # The line itself

    def _spawn(self, run: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=run, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                browser, _ = self._listener.accept()
            except OSError:
                return
            browser.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.down:
                _reset(browser)
                continue
            self._spawn(self._serve, browser)

    def _serve(self, browser: socket.socket) -> None:
        try:
            server = self.server.connect(self.circuit)
        except OSError:
            _reset(browser)
            return
        with self._lock:
            self._sockets |= {browser, server}
        current: list[Exchange] = []
        self._spawn(self._downstream, browser, server, current)
        try:
            self._upstream(browser, server, current)
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)

    def _upstream(self, browser: socket.socket, server: socket.socket, current: list[Exchange]) -> None:
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                data = browser.recv(CHUNK)
                if not data:
                    return
                pending += data
            head, _, pending = pending.partition(b"\r\n\r\n")
            head += b"\r\n\r\n"
            method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
            exchange = Exchange(method, target, _headers(head[:-4]), head)
            if target in self.cut_after:
                browser.sendall(self.cut_after[target])
                self._cut(browser, server)
                return
            if target in self.answers:
                while len(pending) < exchange.announced:
                    pending += browser.recv(CHUNK)
                pending = pending[exchange.announced :]
                browser.sendall(self.answers[target])
                continue
            with self._lock:
                self.exchanges.append(exchange)
            path = target.partition("?")[0]
            if self.blocked(path):
                self._cut(browser, server)
                return
            while self.stalled(path):
                if self._stop.wait(STEP):
                    return
            current.append(exchange)
            server.sendall(head)
            left = exchange.announced
            while left:
                data = pending[:left] or browser.recv(min(left, CHUNK))
                pending = pending[len(data) :]
                if not data:
                    return
                if target.startswith(PARTS):
                    self._hold_back()
                left -= len(data)
                if not self._pass_up(exchange, data, browser, server):
                    return

    def _hold_back(self) -> None:
        if not self._open.is_set():
            self._held.set()
            self._open.wait()

    def _pass_up(self, exchange: Exchange, data: bytes, browser: socket.socket, server: socket.socket) -> bool:
        due = False
        with self._lock:
            if self.cuts and self._since_cut + len(data) >= self.cuts[0]:
                data = data[: self.cuts[0] - self._since_cut]
                self.cuts.pop(0)
                self._since_cut = 0
                due = True
            else:
                self._since_cut += len(data)
        exchange.sent += len(data)
        exchange.body += data[: max(0, self.keep - len(exchange.body))]
        server.sendall(data)
        if due:
            self._cut(browser, server)
        return not due

    def _downstream(self, browser: socket.socket, server: socket.socket, current: list[Exchange]) -> None:
        try:
            while data := server.recv(CHUNK):
                if current and self._lost(current[-1]):
                    self._cut(browser, server)
                    return
                if current:
                    exchange = current[-1]
                    exchange.received += len(data)
                    exchange.raw_answer += data[: max(0, self.keep - len(exchange.raw_answer))]
                browser.sendall(data)
        except OSError:
            pass
        finally:
            with self._lock:
                self._sockets -= {browser, server}
            for one in (browser, server):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def _lost(self, exchange: Exchange) -> bool:
        with self._lock:
            if self.last and f"{exchange.method} {exchange.target}" == self.last:
                self.down = True
                return True
            for start in self.losses:
                if f"{exchange.method} {exchange.target}".startswith(start):
                    self.losses.remove(start)
                    return True
        return False

    def _cut(self, browser: socket.socket, server: socket.socket) -> None:
        _reset(browser)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def parts_sent(exchanges: list[Exchange]) -> Iterator[tuple[int, bytes]]:
    """Index and bytes of each part in uploads, the last one of a cut request shorter."""
    for one in exchanges:
        if one.method == "PUT" and one.target.startswith(PARTS):
            assert len(one.body) == one.sent, "the wire kept less than passed"
            first = int(one.target.removeprefix(PARTS))
            for number, start in enumerate(range(0, len(one.body), SEALED_PART)):
                yield first + number, bytes(one.body[start : start + SEALED_PART])


def _headers(head: bytes) -> dict[str, str]:
    pairs = (line.decode("latin-1").partition(":") for line in head.split(b"\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _reset(line: socket.socket) -> None:
    """Close with a reset, as a line that breaks."""
    with contextlib.suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RD)
    line.close()
