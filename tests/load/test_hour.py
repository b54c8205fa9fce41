"""An hour of an attack in simulated time, on the whole application: texts are stored, and an upload goes on.

Each attacker asks for what costs the server most: openings of texts and of files, which nobody pays for, and everything
that is refused. Beside them somebody pays for whatever the bucket of letters gives above a third. The clock stands
still while a request is answered, and moves on when all wait.
"""

from __future__ import annotations

import base64
import random
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import gevent
import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from load.simulated import ROOM, Simulated
from support.client import bearer
from support.sealed import Organisation, Sent, envelope, keys_folder, three
from tipbox.formats.toll import Solver
from tipbox.server.config import Config, Quota
from tipbox.server.home import Home
from tipbox.server.process.circuits import Circuits
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.models import Envelope
from tipbox.server.uploads.buckets import Charge
from tipbox.server.uploads.cells import Cells
from tipbox.server.uploads.gate import Clocks
from tipbox.server.web.app import GATE, STORE, create_app
from tipbox.server.web.worker_keys import CIRCUIT, CIRCUIT_DEMANDED

HOUR = 3600
ATTACKERS = 200
PAUSE = 100
"""Seconds between two requests of one: two a second of them all, ten times what comes in for good."""
QUOTA = Quota(letters_burst=600, letters_per_second=0.2, drafts=400)
THIRD = 0.3
SOON = 120
"""Seconds within which a text is stored."""
EVERY = 600
"""Seconds from one text to the next."""


@dataclass
class Line:
    """The server, and what is asked of it."""

    folder: Path
    organisations: list[Organisation]
    time: Simulated = field(default_factory=Simulated)
    answers: dict[tuple[str, int], int] = field(default_factory=dict)
    """To attackers: how often each kind of request got each status."""

    def __post_init__(self) -> None:
        home = Home(self.folder / "home")
        config = prepare_server(home.path, keys_folder(self.folder / "keys", self.organisations))
        settings = Config(**config.model_dump() | {"quota": QUOTA})
        cells = Cells()
        self.app = create_app(home, settings, threads=self.time, cells=cells, clocks=Clocks(self.time, self.time))
        per_second = settings.limits.per_minute / 60 / settings.server.workers
        self.circuits = Circuits(per_second, cells, self.time)
        self.blobs = home.blobs
        self.begun = self.time.now

    def ask(self, circuit: str, method: str, path: str, data: bytes = b"", **headers: str) -> TestResponse:
        """One request over a circuit, when its turn comes, as a worker takes it."""
        one = self.circuits.of(circuit.encode())
        while one.closed:
            self.time.sleep(1)
        self.time.sleep(one.turn())
        environ = {CIRCUIT: one.name, CIRCUIT_DEMANDED: True}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.app.test_client().open(path, method=method, data=data, headers=named, environ_overrides=environ)
        one.answered(refused=answer.status_code >= 400)
        return answer

    def send(self, sent: Sent) -> float:
        """A text, or the opening of an upload, sent as clients do, over a new circuit; how long it took."""
        begun, circuit, headers = self.time.now, secrets.token_hex(), bearer(sent.token)
        while True:
            answer = self.ask(circuit, "PUT", "/api/envelope", sent.start, **headers)
            if answer.status_code in {200, 201}:
                return self.time.now - begun
            asked = answer.get_json()
            if asked["error"] == "toll":
                seed = base64.urlsafe_b64decode(f"{asked['seed']}=")
                price = int(asked["price"])
                proof = Solver(seed, base64.urlsafe_b64decode(sent.token + "=")).solve(int(asked["hour"]), price)
                headers["Tipbox-Toll"] = proof.encode()
                self.time.sleep(price)  # as long as a phone takes
            else:
                assert asked["error"] == "slow-down", asked
                self.time.sleep(float(answer.headers["Retry-After"]))

    def attack(self, number: int, circuit: Callable[[], str]) -> None:
        """Ask without end; a text is sealed when the one before was taken."""
        draw = random.Random(number)
        text, files = envelope(self.organisations), envelope(self.organisations, 300_000)
        self.time.sleep(draw.uniform(0, PAUSE))
        while True:
            token = base64.urlsafe_b64encode(draw.randbytes(32)).rstrip(b"=").decode()
            kind = draw.choices(("text", "files", "404", "403", "308"), (12, 3, 2, 2, 1))[0]
            method, path, data, headers = {
                "text": ("PUT", "/api/envelope", text.start, bearer(token)),
                "files": ("PUT", "/api/envelope", files.start, bearer(token)),
                "404": ("GET", "/nothing", b"", {}),
                "403": ("GET", "/", b"", {"Sec-Fetch-Site": "cross-site"}),
                "308": ("GET", "/en", b"", {}),
            }[kind]
            answer = self.ask(circuit(), method, path, data, **headers)
            place = kind, answer.status_code
            self.answers[place] = self.answers.get(place, 0) + 1
            if kind == "text" and answer.status_code < 400:
                text = envelope(self.organisations)
            self.time.sleep(PAUSE)

    def pay(self) -> None:
        """What attackers with processors of their own take: all that the bucket gives above a third."""
        buckets = self.app.extensions[GATE].buckets
        while True:
            count = int((buckets.fills(ROOM)[0] - THIRD) * QUOTA.letters_burst)
            if count > 0:
                assert buckets.take(Charge(count, 0, 0, 0), ROOM)
            self.time.sleep(1)


@pytest.fixture(name="line")
def _line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    line = Line(tmp_path, three())
    # The budgets of circuits are counted by it.
    monkeypatch.setattr(time, "time", line.time)
    yield line
    line.app.extensions[STORE].engine.dispose()


@pytest.mark.parametrize("fresh", [False, True], ids=["200 circuits", "a fresh circuit for each request"])
def test_for_an_hour_of_an_attack_texts_are_stored_and_an_upload_goes_on(line: Line, *, fresh: bool) -> None:
    texts = [envelope(line.organisations) for _ in range(HOUR // EVERY)]
    upload = envelope(line.organisations, 8 * 65_536)
    waited: list[float] = []

    def write() -> None:
        for number, one in enumerate(texts):
            line.time.sleep(line.begun + (number + 0.5) * EVERY - line.time.now)
            waited.append(line.send(one))

    def upload_slowly() -> None:
        line.send(upload)
        headers = bearer(upload.token)
        for first, part in enumerate(upload.parts):
            line.time.sleep((HOUR - 300) / len(upload.parts))
            answer = line.ask(f"upload {first}", "PUT", f"/api/envelope/parts/{first}", part, **headers)
            assert answer.status_code == 200
        finished = line.ask("upload", "POST", "/api/envelope/finish", upload.end, **headers)
        assert finished.get_json() == {"state": "stored"}

    tasks = [gevent.spawn(work) for work in (write, upload_slowly)]
    circuits = [secrets.token_hex if fresh else partial(str, number) for number in range(ATTACKERS)]
    attacks = [gevent.spawn(line.attack, number, circuit) for number, circuit in enumerate(circuits)]
    attacks.append(gevent.spawn(line.pay))
    line.time.run(HOUR)
    assert not any(one.ready() for one in attacks), "an attack was over before"
    gevent.killall(attacks)

    for task in tasks:
        task.get(block=False)
    answers = ", ".join(f"{count} of {kind} {status}" for (kind, status), count in sorted(line.answers.items()))
    print(f"stored after {[round(one) for one in waited]} s; answered to attackers: {answers}")  # noqa: T201 (the figures are what this is read for)
    assert len(waited) == len(texts)
    assert max(waited) <= SOON
    assert line.answers["text", 429] > line.answers.get(("text", 201), 0), "the bucket was never near its end"
    _is_whole(line, [*texts, upload])


def _is_whole(line: Line, stored: list[Sent]) -> None:
    """Each of them is here as it was sent."""
    rows = line.app.extensions[STORE].read(
        lambda connection: {row.id: row for row in connection.execute(select(Envelope.__table__))}
    )
    for one in stored:
        row = rows[one.id]
        assert row.letter == one.letter
        if one.parts:
            assert (line.blobs / row.blob).read_bytes() == b"".join(one.parts)
