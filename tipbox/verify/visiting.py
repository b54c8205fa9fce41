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
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx
import tenacity

from tipbox.errors import NetworkFailed
from tipbox.net.http import origin_of, transport
from tipbox.verify.judging import BUSY, Answer
from tipbox.verify.lines import KEPT_SECONDS, LEAD, Circuit
from tipbox.verify.recorded_loads import PAGE, WAITS_FOR, another, heads, loads

MAX_BODY: Final = 8 << 20
"""Bytes of an answer, unpacked too: no file of a site is as large, and of a longer one no more is read."""
ANSWER_SECONDS: Final = 900.0
"""How long an answer may take in all, however slow the line: whoever lets it drip would hold a look up for ever."""
_TRIALS: Final = 4
_AT_ONCE: Final = 16
"""Threads of a load: for its parts, and for connections that it does not use."""
_READING: Final = (math.log(8.0), 0.6)
"""Mean and deviation of the logarithm of the seconds for which a page is looked at before a link on it is followed."""
_SOON: Final = 0.001
HELD_BACK: Final = 1 / 24
"""Of the time since a visit began: so much longer the page's first script holds back the worker (start.ts)."""
_LONGEST_PAUSE: Final = 60.0
_OF_LINE: Final = ("peer ", "Server disconnected")
"""How h11 and httpcore begin to say that a connection ended; all else that they call a breach of HTTP was sent."""


def _grow(trial: int) -> float:
    return 2.0**trial


@dataclass(frozen=True)
class Step:
    """One request: what kind of thing asks for it, which decides its head, and from which page."""

    path: str
    kind: str = "typed"
    page: str = ""


class Unreached(NetworkFailed):
    """The line was cut, or the server is busy: worth another circuit. ``answers``: all that came, parts too."""

    answers: Sequence[Answer] = ()


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

        Also answers what came before it was cut, for a browser shows that: whoever swaps a page and breaks it off
        would be seen by nobody who only asks again.

        Raises:
            Unreached: there was no whole answer.
        """
        return self._again(lambda came: self._one_by_one(steps, came))

    def load(self, steps: Sequence[Step], language: str) -> list[Answer]:
        """Load pages as the browser does, one after another on one circuit, each with all that it loads.

        Redirects are followed as typed; ``language``: where paths without one lead to. Answers as ``ask`` does.

        Raises:
            Unreached: there was no whole answer.
        """
        return self._again(lambda came: self._load(steps, language, came))

    def _again(self, attempt: Callable[[list[Answer]], None]) -> list[Answer]:
        came: list[Answer] = []
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unreached),
            wait=lambda state: min(_LONGEST_PAUSE, self._pause(state.attempt_number)),
            stop=tenacity.stop_after_attempt(_TRIALS),
            reraise=True,
        )
        try:
            retrying(attempt, came)
        except Unreached as error:
            error.answers = came
            raise
        return came

    def _one_by_one(self, steps: Sequence[Step], came: list[Answer]) -> None:
        circuit = Circuit(self.origin, self._socks, ANSWER_SECONDS)
        try:
            with circuit.line(0) as line:
                for step in steps:
                    self.send(line.client, step, came)
        finally:
            circuit.close()

    def _load(self, steps: Sequence[Step], language: str, came: list[Answer]) -> None:
        circuit = Circuit(self.origin, self._socks, ANSWER_SECONDS)
        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                for number, step in enumerate(steps):
                    if number:
                        self._read(random.SystemRandom().lognormvariate(*_READING))
                    _Loading(self, circuit, pool, came).run(step, language)
        except BaseException:
            circuit.close()
            raise
        self._keep(circuit)

    def _keep(self, circuit: Circuit) -> None:
        """Leave a visit's connections open as long as a browser does."""
        self._kept = [timer for timer in self._kept if timer.is_alive()]
        timer = threading.Timer(KEPT_SECONDS, circuit.close)
        timer.daemon = True
        timer.start()
        self._kept.append(timer)

    def close(self) -> None:
        """End the connections that visits left open."""
        for timer in self._kept:
            timer.cancel()
            timer.function()
        self._kept.clear()

    def send(self, client: httpx.Client, step: Step, came: list[Answer]) -> Answer:
        """One request; whatever comes is put into ``came`` as well.

        Raises:
            Unreached: there was no whole answer.
        """
        try:
            answer = self._asked(client, step)
        except httpx.HTTPError as error:
            raise _unreached(step, error) from error
        came.append(answer)
        if not answer.whole:
            raise _unreached(step)
        if answer.status in BUSY:
            raise Unreached(
                f"reaching the server: for {step.path} it answers {answer.status} and is too busy; try again later"
            )
        return answer

    def _asked(self, client: httpx.Client, step: Step) -> Answer:
        headers = [(name.encode(), value.encode()) for name, value in self.head(step)]
        request = httpx.Request("GET", f"{self.origin}{step.path}", headers=headers)
        try:
            answer = client.send(request, stream=True)
        except httpx.RemoteProtocolError as error:
            if str(error).startswith(_OF_LINE):
                raise
            return Answer(step.path, 0, (), b"")
        try:
            body, is_whole = _body(answer)
        finally:
            answer.close()
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw]
        return Answer(step.path, answer.status_code, pairs, body, is_whole)

    def head(self, step: Step) -> list[tuple[str, str]]:
        """The headers of a request, in order."""
        return [
            (name, value.format(host=urlsplit(self.spoken).netloc, page=f"{self.spoken}{step.page}"))
            for name, value in heads()[step.kind]
        ]


class _Loading:
    """One load of a page with all that it loads, as one of the recorded ones went."""

    def __init__(self, visitor: Visitor, circuit: Circuit, pool: ThreadPoolExecutor, came: list[Answer]) -> None:
        self._visitor, self._circuit, self._pool, self._came = visitor, circuit, pool, came
        self._load = another(loads())
        self._began = 0.0
        self._there: dict[str, Future[float]] = {name: Future() for name in (PAGE, *self._load.parts)}
        """When it was answered."""
        self._keys: Future[float] = Future()
        """When keys are asked for."""

    def run(self, step: Step, language: str) -> None:
        """Ask for the page, after a redirect if there is one, and for its parts."""
        page = step.path
        opened = self._load.opened
        with self._circuit.line(0, time.monotonic() + LEAD + opened, opened) as line:
            first = self._visitor.send(line.client, step, self._came)
            self._began = line.left
            led = f"/{language}{page}"
            if first.all("location") == [led]:
                page = led
                line.due = line.came + self._load.redirect
                self._visitor.send(line.client, Step(page), self._came)
            self._there[PAGE].set_result(line.came)
        unused = [self._pool.submit(self._circuit.open_unused, line.came + after) for after in self._load.unused]
        parts = [self._pool.submit(self._part, name, page) for name in self._load.parts]
        for part in (*parts, *unused):
            part.result()

    def _part(self, name: str, page: str) -> None:
        came = 0.0
        try:
            part = self._load.parts[name]
            due = max(self._there[before].result() for before in WAITS_FOR[name]) + part.pause
            if name == "now":
                self._keys.set_result(due)
            elif name == "worker.js":
                due = self._held_back(due)
            with self._circuit.line(part.connection, due, part.opened) as line:
                self._visitor.send(line.client, _part(name, page), self._came)
                came = line.came
        finally:
            self._there[name].set_result(came)
            if name == "now" and not self._keys.done():
                self._keys.set_result(came)

    def _held_back(self, due: float) -> float:
        """The page's first script asks for the worker after some time, or else its second one does, after the keys."""
        together = self._load.together
        due += (self._there["start.js"].result() - self._began) * HELD_BACK
        if together is not None:
            # The first script would have asked for it later than this: nobody knows how much.
            due += self._load.parts["worker.js"].pause
        with suppress(TimeoutError):
            keys = self._keys.result(max(0.0, due - LEAD - time.monotonic()))
            due = min(due, keys + (together or _SOON))
        return due


def _part(name: str, page: str) -> Step:
    """What asks for a part of a page."""
    if name == "now":
        return Step("/api/now", "fetch", page)
    kind = {"style.css": "style", "worker.js": "worker"}.get(name, "script")
    return Step(f"/static/{name}", kind, page)


def _body(answer: httpx.Response) -> tuple[bytes, bool]:
    """The body, unpacked where it was packed with gzip, and whether the line brought it to its end.

    What cannot be unpacked, or has more behind it, is empty; what is too long is cut here: both differ from every file.
    """
    data, is_whole = bytearray(), True
    try:
        for piece in answer.iter_raw():
            data += piece
            if len(data) > MAX_BODY:
                return bytes(data), True
    except httpx.HTTPError as error:
        is_whole = isinstance(error, httpx.RemoteProtocolError) and not str(error).startswith(_OF_LINE)
    if answer.headers.get("Content-Encoding") != "gzip":
        return bytes(data), is_whole
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(bytes(data), MAX_BODY)
    except zlib.error:
        return b"", True
    is_packed_well = unpacker.eof and not unpacker.unused_data
    return (plain, is_whole) if is_packed_well or not is_whole else (b"", True)


def _unreached(step: Step, error: httpx.HTTPError | None = None) -> Unreached:
    what = type(error).__name__ if error else "it is cut off"
    return Unreached(
        f"reaching the server: no whole answer for {step.path} ({what}); check the address, the network and --socks"
    )
