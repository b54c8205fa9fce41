"""The connections of one visit, all of one circuit: what is sent on them leaves at its moment.

A browser has made a request by the time that it may leave, and several leave a millisecond apart. Here making one takes
longer than that, and threads wait for one another meanwhile. So a request is made beforehand as far as the bytes, and
they wait where they would leave: nothing is connected, and nothing sent, before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from typing import Any, Final, Self

import httpcore
import httpx

from tipbox.net.http import new_circuit, transport
from tipbox.net.patience import Patient

KEPT_SECONDS: Final = 115.0
"""How long Firefox keeps a connection that nothing is asked for on, whatever became of the page."""
LEAD: Final = 0.02
"""Seconds before its moment in which a request is made."""
_GRACE: Final = 0.005
"""For so many seconds after its moment a request waits for its connection, before it takes another."""
_UNUSED: Final = -1
"""The number of all connections on which nothing is asked for."""
_TIMEOUT: Final = httpx.Timeout(180.0, connect=120.0)


def sleep_until(moment: float) -> None:
    """Sleep until ``time.monotonic()`` is ``moment``."""
    time.sleep(max(0.0, moment - time.monotonic()))


class Line:
    """One connection.

    Attributes:
        number: that of the circuit's connections.
        client: asks for things on it.
        opens: the moment before which it is not opened.
        due: the moment before which nothing is asked for.
        left: the moment at which the last bytes left.
        came: the moment at which the last bytes came.
        is_unused: whether nothing is asked for on it.
    """

    def __init__(
        self, number: int, origin: str, socks: str | None, circuit: tuple[str, str], answer_seconds: float
    ) -> None:
        self.number = number
        self.opens = self.due = self.left = self.came = 0.0
        self.is_unused = False
        self._way = _Punctual(self)
        self.client = httpx.Client(
            base_url=origin,
            transport=transport(
                socks,
                circuit,
                idle_seconds=KEPT_SECONDS,
                around=lambda backend: self._way.before(Patient(backend, answer_seconds)),
            ),
            trust_env=False,
            timeout=_TIMEOUT,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )
        self.client.headers.clear()

    def open(self) -> None:
        """Open it, as far as Tor does, and ask for nothing on it; it stays open."""
        self.is_unused = True

        def stop(event: str, _about: Mapping[str, Any]) -> None:
            if event.endswith("send_request_headers.started"):
                raise _Opened

        with suppress(httpx.HTTPError, httpcore.NetworkError, httpcore.TimeoutException):
            with suppress(_Opened):
                self.client.get("/", extensions={"trace": stop})
            self._way.open()

    def close(self) -> None:
        """End it."""
        self.is_unused = False
        self.client.close()
        self._way.close()


class _Opened(Exception):
    """A connection is there."""


class Circuit:
    """As many connections as the browser opens."""

    def __init__(self, origin: str, socks: str | None, answer_seconds: float) -> None:
        circuit = new_circuit()
        self._made: Callable[[int], Line] = lambda number: Line(number, origin, socks, circuit, answer_seconds)
        self._lines: dict[int, Line] = {}
        self._unused: list[Line] = []
        self._busy: set[int] = set()
        self._freed = threading.Condition()

    @contextmanager
    def line(self, number: int, due: float = 0.0, opened: float = 0.0) -> Iterator[Line]:
        """A connection for one request; another one where this one is not free when it is due.

        Args:
            number: of the connection.
            due: the moment at which the request is to leave.
            opened: how many seconds earlier the connection is opened, where it is a new one.
        """
        opens = due if number in self._lines else due - opened
        sleep_until(opens - LEAD)
        line = self._take(number, due)
        line.opens, line.due = opens, due
        try:
            yield line
        finally:
            with self._freed:
                self._busy.discard(line.number)
                self._freed.notify_all()

    def open_unused(self, opens: float) -> None:
        """Open a connection at a moment and ask for nothing on it, as a browser does now and then."""
        sleep_until(opens - LEAD)
        line = self._made(_UNUSED)
        with self._freed:
            self._unused.append(line)
        line.opens = line.due = opens
        line.open()

    def _take(self, number: int, due: float) -> Line:
        with self._freed:
            # What it still carries may have come whole, and only not be read.
            patience = max(0.0, due + _GRACE - time.monotonic()) if due else 0.0
            if not self._freed.wait_for(lambda: number not in self._busy, patience):
                free = sorted(self._lines.keys() - self._busy)
                number = free[0] if free else max(self._lines) + 1
            self._busy.add(number)
            if number not in self._lines:
                self._lines[number] = self._made(number)
            return self._lines[number]

    def close(self) -> None:
        """End them all."""
        for line in (*self._lines.values(), *self._unused):
            line.close()


class _Punctual(httpcore.NetworkBackend):
    def __init__(self, line: Line) -> None:
        self._line = line
        self._streams: list[_Stream] = []

    def before(self, backend: httpcore.NetworkBackend) -> Self:
        """This, before what opens connections."""
        self._backend = backend
        return self

    def open(self) -> None:
        """Open what waits for the first bytes."""
        for stream in self._streams:
            stream.open()

    def close(self) -> None:
        """End also what httpcore lets go of unclosed: a connection on which Tor did not reach the server."""
        for stream in self._streams:
            stream.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection that is opened when the first bytes leave."""
        stream = _Stream(
            lambda: self._backend.connect_tcp(host, port, timeout, local_address, socket_options), self._line
        )
        self._streams.append(stream)
        return stream


class _Stream(httpcore.NetworkStream):
    def __init__(self, connect: Callable[[], httpcore.NetworkStream], line: Line) -> None:
        self._connect, self._line = connect, line
        self._stream: httpcore.NetworkStream | None = None

    def open(self) -> httpcore.NetworkStream:
        """The connection; where it is none yet, it is opened at its moment."""
        if self._stream is None:
            sleep_until(self._line.opens)
            self._stream = self._connect()
        return self._stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self.open().read(max_bytes, timeout)
        self._line.came = time.monotonic()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            stream = self.open()
            sleep_until(self._line.due)
            stream.write(buffer, timeout)
            self._line.left = time.monotonic()

    def close(self) -> None:
        # httpcore lets go of a connection on which it could not ask.
        if self._stream is not None and not self._line.is_unused:
            self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(lambda: self.open().start_tls(ssl_context, server_hostname, timeout), self._line)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info) if self._stream is not None else None
