"""Visits to a server: requests whose heads are, byte for byte, those of Firefox at the level Safer of Tor Browser.

A head depends on what is asked for and from where, and on nothing of this program; ``firefox_heads.json`` holds them as
a browser sent them (tests/browser/states/test_watch_looks_alike.py compares). Each visit has a circuit of its own.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
import tenacity

from tipbox.errors import NetworkFailed
from tipbox.net.http import new_circuit, origin_of, transport
from tipbox.verify.judging import Answer

MAX_BODY: Final = 8 << 20
"""Bytes of an answer, unpacked too: no file of a site is as large."""
_TIMEOUT: Final = httpx.Timeout(180.0, connect=120.0)
_TRIALS: Final = 4
_CONNECTIONS: Final = 4
_LONGEST_PAUSE: Final = 60.0
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_HEADS: Final = Path(__file__).with_name("firefox_heads.json")


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


@cache
def _recorded() -> Any:
    return json.loads(_HEADS.read_bytes())


def orders() -> Sequence[Sequence[tuple[str, int]]]:
    """Orders in which a page's parts were asked for, each with the number of its connection."""
    return [[(name, connection) for name, connection in one] for one in _recorded()["orders"]]


@cache
def heads() -> Mapping[str, Sequence[tuple[str, str]]]:
    """The headers of a request by its kind, in their order; ``{host}`` and ``{page}`` stand for what changes."""
    return {kind: [(name, text) for name, text in pairs] for kind, pairs in _recorded()["heads"].items()}


class Visitor:
    """Asks one server, each visit on a circuit of its own.

    Args:
        url: the address; its path is dropped.
        socks: Tor's SOCKS port, as ``HOST:PORT`` or ``unix:PATH``; None on this machine alone.

    Raises:
        Usage: the address or ``socks`` is none.
    """

    def __init__(self, url: str, socks: str | None, pause: Callable[[int], float] | None = None) -> None:
        self.origin = self.spoken = origin_of(url, socks)
        """Where requests go, and what they name; a test that looks at heads reaches an onion's name on this machine."""
        self._socks = socks
        self._pause = pause or _grow
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
        with _Circuit(self.origin, self._socks) as circuit:
            return [self._ask(circuit.client(0), step) for step in steps]

    def _load(self, steps: Sequence[Step], language: str) -> list[Answer]:
        answers: list[Answer] = []
        with _Circuit(self.origin, self._socks) as circuit, ThreadPoolExecutor(_CONNECTIONS) as pool:
            for step in steps:
                answers.append(self._ask(circuit.client(0), step))
                page = step.path
                if answers[-1].all("location") == [f"/{language}{step.path}"]:
                    page = f"/{language}{step.path}"
                    answers.append(self._ask(circuit.client(0), Step(page)))
                answers += self._load_parts(circuit, pool, page)
        return answers

    def _load_parts(self, circuit: _Circuit, pool: ThreadPoolExecutor, page: str) -> list[Answer]:
        """What a page loads: three files at once, and what two of them ask for then, as one recorded load did."""
        parts = dict(random.SystemRandom().choice(orders()))
        then = {"start.js": "worker.js", "page.js": "now"}

        def one_after_another(name: str) -> list[Answer]:
            return [
                self._ask(circuit.client(parts[part]), _part(part, page))
                for part in (name, then.get(name))
                if part is not None
            ]

        first = [name for name in parts if name not in then.values()]
        return [answer for answers in pool.map(one_after_another, first) for answer in answers]

    def _ask(self, client: httpx.Client, step: Step) -> Answer:
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

    def client(self, number: int) -> httpx.Client:
        """A connection; Firefox asks without credentials on one of its own."""
        if number not in self._clients:
            self._clients[number] = _client(self._origin, transport(self._socks, self._circuit))
        return self._clients[number]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()


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
