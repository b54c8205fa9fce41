"""Visits to a server: requests whose heads are, byte for byte, those of Firefox at the level Safer of Tor Browser.

A head depends on what is asked for and from where, and on nothing of this program; a page is loaded as one of the
recorded loads went (recorded_loads.py). Each visit has a circuit of its own.
"""

from __future__ import annotations

import math
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final
from urllib.parse import urlsplit

import httpx
import tenacity

from tipbox.errors import NetworkFailed
from tipbox.net.http import new_circuit, origin_of, transport
from tipbox.verify.judging import Answer
from tipbox.verify.recorded_loads import PAGE, WAITS_FOR, heads, loads

MAX_BODY: Final = 8 << 20
"""Bytes of an answer, unpacked too: no file of a site is as large."""
_TIMEOUT: Final = httpx.Timeout(180.0, connect=120.0)
_TRIALS: Final = 4
_PARTS: Final = 5
_KEPT_SECONDS: Final = 115.0
"""How long Firefox keeps a connection that nothing is asked for on, whatever became of the page."""
_READING: Final = (math.log(8.0), 0.6)
"""Mean and deviation of the logarithm of the seconds for which a page is looked at before a link on it is followed."""
_LIKENESS: Final = 0.15
"""Deviation of the logarithm by which a pause differs from the recorded one: two loads are never the same twice."""
_SOON: Final = 0.001
HELD_BACK: Final = 1 / 6
"""Of the time since a visit began: so much longer the page's first script holds back the worker (start.ts)."""
_LONGEST_PAUSE: Final = 60.0
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


def _grow(trial: int) -> float:
    return 2.0**trial


@dataclass(frozen=True)
class Step:
    """One request: what kind of thing asks for it, which decides its head, and from which page."""

    path: str
    kind: str = "typed"
    page: str = ""


class _Cut(NetworkFailed):
    """The line was cut, or the server is busy: worth another circuit."""


class Visitor:
    """Asks one server, each visit on a circuit of its own.

    Args:
        url: the address; its path is dropped.
        socks: Tor's SOCKS port, as ``HOST:PORT`` or ``unix:PATH``; None on this machine alone.
        pause: seconds to wait before another trial, by its number.
        read: waits while a page is looked at.

    Raises:
        Usage: the address or ``socks`` is none.
    """

    def __init__(
        self,
        url: str,
        socks: str | None,
        pause: Callable[[int], float] | None = None,
        read: Callable[[float], None] = time.sleep,
    ) -> None:
        self.origin = self.spoken = origin_of(url, socks)
        """Where requests go, and what they name; a test that looks at heads reaches an onion's name on this machine."""
        self._socks = socks
        self._pause = pause or _grow
        self._read = read
        self._kept: list[threading.Timer] = []
        transport(socks).close()

    def ask(self, *steps: Step) -> list[Answer]:
        """Ask for these, one after another on one circuit; what is cut is begun anew on another one.

        Raises:
            NetworkFailed: the server could not be reached.
        """
        return self._again(lambda: self._one_by_one(steps))

    def load(self, steps: Sequence[Step], language: str) -> list[Answer]:
        """Load pages as the browser does, one after another on one circuit, each with all that it loads.

        Redirects are followed as typed; ``language``: where paths without one lead to.

        Raises:
            NetworkFailed: the server could not be reached.
        """
        return self._again(lambda: self._load(steps, language))

    def _again(self, attempt: Callable[[], list[Answer]]) -> list[Answer]:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Cut),
            wait=lambda state: min(_LONGEST_PAUSE, self._pause(state.attempt_number)),
            stop=tenacity.stop_after_attempt(_TRIALS),
            reraise=True,
        )
        return retrying(attempt)

    def _one_by_one(self, steps: Sequence[Step]) -> list[Answer]:
        circuit = _Circuit(self.origin, self._socks)
        try:
            with circuit.line(0) as line:
                return [self.send(line, step) for step in steps]
        finally:
            circuit.close()

    def _load(self, steps: Sequence[Step], language: str) -> list[Answer]:
        circuit = _Circuit(self.origin, self._socks)
        answers: list[Answer] = []
        try:
            with ThreadPoolExecutor(_PARTS) as pool:
                for number, step in enumerate(steps):
                    if number:
                        self._read(random.SystemRandom().lognormvariate(*_READING))
                    answers += _Loading(self, circuit, pool).run(step, language)
        except BaseException:
            circuit.close()
            raise
        self._keep(circuit)
        return answers

    def _keep(self, circuit: _Circuit) -> None:
        """Leave a visit's connections open as long as a browser does."""
        self._kept = [timer for timer in self._kept if timer.is_alive()]
        timer = threading.Timer(_KEPT_SECONDS, circuit.close)
        timer.daemon = True
        timer.start()
        self._kept.append(timer)

    def close(self) -> None:
        """End the connections that visits left open."""
        for timer in self._kept:
            timer.cancel()
            timer.function()
        self._kept.clear()

    def send(self, client: httpx.Client, step: Step) -> Answer:
        """One request.

        Raises:
            NetworkFailed: there was no whole answer, or it was too long.
        """
        headers = [(name.encode(), value.encode()) for name, value in self.head(step)]
        request = httpx.Request("GET", f"{self.origin}{step.path}", headers=headers)
        try:
            answer = client.send(request, stream=True)
            try:
                body = _body(answer)
            finally:
                answer.close()
        except httpx.HTTPError as error:
            raise _Cut(
                f"reaching the server: no whole answer for {step.path} ({type(error).__name__}); "
                "check the address, the network and --socks"
            ) from error
        if answer.status_code in _BUSY:
            raise _Cut(
                f"reaching the server: for {step.path} it answers {answer.status_code} and is too busy; try again later"
            )
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw]
        return Answer(step.path, answer.status_code, pairs, body)

    def head(self, step: Step) -> list[tuple[str, str]]:
        """The headers of a request, in order."""
        return [
            (name, value.format(host=urlsplit(self.spoken).netloc, page=f"{self.spoken}{step.page}"))
            for name, value in heads()[step.kind]
        ]


class _Circuit:
    """The connections of one visit: of one circuit, as many as the browser opens."""

    def __init__(self, origin: str, socks: str | None) -> None:
        self._origin, self._socks, self._circuit = origin, socks, new_circuit()
        self._clients: dict[int, httpx.Client] = {}
        self._busy: set[int] = set()
        self._lock = threading.Lock()

    @contextmanager
    def line(self, number: int) -> Iterator[httpx.Client]:
        """A connection, for one request at a time: another one that is free, where this one is not."""
        with self._lock:
            if number in self._busy:
                free = sorted(self._clients.keys() - self._busy)
                number = free[0] if free else max(self._clients) + 1
            if number not in self._clients:
                self._clients[number] = _client(
                    self._origin, transport(self._socks, self._circuit, idle_seconds=_KEPT_SECONDS)
                )
            self._busy.add(number)
        try:
            yield self._clients[number]
        finally:
            with self._lock:
                self._busy.discard(number)

    def close(self) -> None:
        """End them all."""
        for client in self._clients.values():
            client.close()


class _Loading:
    """One load of a page with all that it loads, as one of the recorded ones went."""

    def __init__(self, visitor: Visitor, circuit: _Circuit, pool: ThreadPoolExecutor) -> None:
        self._visitor, self._circuit, self._pool = visitor, circuit, pool
        chance = random.SystemRandom()
        self._load = chance.choice(loads())
        self._pauses = {name: after * _stretched(chance) for name, (_, after) in self._load.parts.items()}
        self._redirect, self._stretch = self._load.redirect * _stretched(chance), _stretched(chance)
        self._began = time.monotonic()
        self._there = {name: threading.Event() for name in (PAGE, *self._load.parts)}
        """What was answered."""
        self._asked = threading.Event()
        """For keys."""

    def run(self, step: Step, language: str) -> list[Answer]:
        """The answers: of a redirect, of the page, and of its parts."""
        page = step.path
        with self._circuit.line(0) as line:
            answers = [self._visitor.send(line, step)]
            led = f"/{language}{page}"
            if answers[0].all("location") == [led]:
                page = led
                time.sleep(self._redirect)
                answers.append(self._visitor.send(line, Step(page)))
        self._there[PAGE].set()
        parts = [self._pool.submit(self._part, name, page) for name in self._load.parts]
        return [*answers, *(part.result() for part in parts)]

    def _part(self, name: str, page: str) -> Answer:
        try:
            for before in WAITS_FOR[name]:
                self._there[before].wait()
            if name == "worker.js":
                self._hold_back()
            else:
                time.sleep(self._pauses[name])
            with self._circuit.line(self._load.parts[name][0]) as line:
                if name == "now":
                    self._asked.set()
                return self._visitor.send(line, _part(name, page))
        finally:
            self._there[name].set()
            if name == "now":
                self._asked.set()

    def _hold_back(self) -> None:
        """The page's first script asks for the worker after some time, or else its second one does, after the keys."""
        together, pause = self._load.together, self._pauses["worker.js"]
        if together is not None:
            # The first script would have asked for it later than this: nobody knows how much.
            pause *= 2
        held = (time.monotonic() - self._began) * HELD_BACK
        if self._asked.wait(held + pause):
            time.sleep((together or _SOON) * self._stretch)


def _stretched(chance: random.Random) -> float:
    return chance.lognormvariate(0, _LIKENESS)


def _client(origin: str, way: httpx.HTTPTransport) -> httpx.Client:
    client = httpx.Client(
        base_url=origin,
        transport=way,
        trust_env=False,
        timeout=_TIMEOUT,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )
    client.headers.clear()
    return client


def _part(name: str, page: str) -> Step:
    """What asks for a part of a page."""
    if name == "now":
        return Step("/api/now", "fetch", page)
    kind = {"style.css": "style", "worker.js": "worker"}.get(name, "script")
    return Step(f"/static/{name}", kind, page)


def _body(answer: httpx.Response) -> bytes:
    """The body, unpacked where it was packed with gzip.

    Raises:
        _Cut: it is longer than any file of a site, or what unpacks it fails.
    """
    data = bytearray()
    for piece in answer.iter_raw():
        data += piece
        if len(data) > MAX_BODY:
            raise _Cut("reaching the server: an answer is longer than any can be")
    if answer.headers.get("Content-Encoding") != "gzip":
        return bytes(data)
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(bytes(data), MAX_BODY)
    except zlib.error as error:
        raise _Cut("reaching the server: an answer cannot be unpacked") from error
    if not unpacker.eof or unpacker.unused_data:
        raise _Cut("reaching the server: an answer cannot be unpacked")
    return plain
