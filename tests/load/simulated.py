"""Time that passes when a test says so, and a server in place whose buckets and prices go by it."""

from __future__ import annotations

import base64
import heapq
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import gevent
from flask.testing import FlaskClient
from gevent.event import Event

from support.client import bearer
from support.sealed import Organisation, Sent, keys_folder
from tipbox.formats.toll import Solver
from tipbox.server.config import GB, Config, Quota
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.executors import InPlaceThreads
from tipbox.server.uploads.buckets import DAY, Buckets, Charge
from tipbox.server.uploads.cells import Cells
from tipbox.server.uploads.gate import Clocks
from tipbox.server.web.app import create_app

T = TypeVar("T")
ROOM = 1000 * GB
BURST = 100
HOUR = 494_000
_SECONDS = 3600


class Clock(InPlaceThreads):
    """Seconds that pass while somebody waits, or when a test says so."""

    def __init__(self) -> None:
        self.seconds = HOUR * float(_SECONDS)

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Simulated(InPlaceThreads):
    """Seconds that pass only when everybody waits."""

    def __init__(self) -> None:
        self.now = 500_000.0 * _SECONDS
        self._due: list[tuple[float, int, Event]] = []
        self._order = itertools.count()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        wake = Event()
        heapq.heappush(self._due, (self.now + seconds, next(self._order), wake))
        wake.wait()

    def unless(self, stop: Callable[[], bool], function: Callable[..., T], *arguments: object) -> T | None:
        task = gevent.spawn(function, *arguments)
        try:
            while not task.ready():
                if stop():
                    return None
                self.sleep(0.1)
            return task.get()  # type: ignore[no-any-return]
        finally:
            task.kill()

    def run(self, seconds: float) -> None:
        """Let everybody go on for so long."""
        end = self.now + seconds
        gevent.sleep(0)
        while self._due and self._due[0][0] <= end:
            self.now, _, wake = heapq.heappop(self._due)
            wake.set()
            gevent.sleep(0)
        self.now = end


class Line:
    """A server in place whose buckets have filled up; two sources of it may be on circuits of their own."""

    def __init__(
        self, folder: Path, organisations: list[Organisation], burst: int = BURST, quota: Quota | None = None
    ) -> None:
        home = Home(folder / "home")
        config = prepare_server(home.path, keys_folder(folder / "keys", organisations))
        self.organisations = organisations
        self.clock, cells = Clock(), Cells()
        self.quota = quota or Quota(letters_burst=burst, letters_per_second=burst / 10_000)
        self.buckets = Buckets(self.quota, cells, self.clock)
        self.buckets.fills(ROOM)
        self.clock.seconds += 2 * DAY
        settings = Config(**config.model_dump() | {"quota": self.quota})
        self.app = create_app(home, settings, threads=self.clock, cells=cells, clocks=Clocks(self.clock, self.clock))
        self.client: FlaskClient = self.app.test_client()

    def empty_to(self, fill: float) -> None:
        """Take until the bucket of letters is so full."""
        assert self.buckets.take(Charge(round(BURST * (self.buckets.fills(ROOM)[0] - fill)), 0, 0, 0), ROOM)

    def asked(self) -> dict[str, object]:
        """What a client is told."""
        answer = self.client.get("/api/toll")
        assert answer.status_code == 200
        return dict(answer.get_json())

    def open(self, sent: Sent, written: str | None = None) -> tuple[int, str]:
        """Status, and state or error."""
        headers = bearer(sent.token) | ({"Tipbox-Toll": written} if written is not None else {})
        answer = self.client.put("/api/envelope", data=sent.start, headers=headers)
        value = answer.get_json()
        return answer.status_code, value.get("state") or value["error"]

    def pay(self, sent: Sent, effort: int = 1) -> str:
        """A proof for an opening."""
        asked = self.asked()
        seed = base64.urlsafe_b64decode(f"{asked['seed']}=")
        token = base64.urlsafe_b64decode(sent.token + "=")
        hour = asked["hour"]
        assert isinstance(hour, int)
        return Solver(seed, token).solve(hour, effort).encode()
