"""A proof pays for one place: however many connections, circuits and workers show it, and on one host only."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from load.test_toll import BURST, HOUR, ROOM, Clock, Line
from support.sealed import Organisation, envelope
from tipbox.formats import toll
from tipbox.formats.base.primitives import sha256
from tipbox.formats.toll import Solver
from tipbox.server.config import Config, Quota
from tipbox.server.refusal import Refusal
from tipbox.server.uploads.buckets import DAY, Charge
from tipbox.server.uploads.cells import Cells
from tipbox.server.uploads.gate import Clocks, Gate, Looks, Payment
from tipbox.server.uploads.price import PATIENCE, Tolls
from tipbox.server.web.app import STORE

pytestmark = pytest.mark.reads_date

TOKEN = sha256(bytes(32))
TEXT = SimpleNamespace(body_size=0, letter_size=8192)
LOOKS = Looks(lambda: False, lambda: None)


class Waiting(Clock):
    """Somebody else acts while the first one waits."""

    meanwhile: Callable[[], None] | None = None

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if act := self.meanwhile:
            self.meanwhile = None
            act()


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is not what is looked at here."""
    monkeypatch.setattr(toll, "TRIES", 1)


@pytest.fixture(name="clock")
def _clock() -> Waiting:
    return Waiting()


@pytest.fixture(name="cells")
def _cells() -> Cells:
    return Cells()


def worker(clock: Waiting, cells: Cells) -> Gate:
    quota = Quota(letters_burst=BURST, letters_per_second=BURST / 10_000)
    return Gate(Config(quota=quota), clock, cells, Clocks(clock, clock))


def proof_of(cells: Cells, clock: Waiting) -> str:
    hour = int(clock() // 3600)
    return Solver(toll.seed_of(cells.key, hour), bytes(32)).solve(hour, 5).encode()


def ask(gate: Gate, written: str, circuit: str, then: Callable[[], None] = lambda: None) -> str:
    """Open with a proof; the code of the refusal, or nothing. ``then``: while the body comes."""
    try:
        payment = Payment(written, circuit, by_tor=True)
        with gate.admitted(TOKEN, TEXT, payment, ROOM, LOOKS) as admission:  # type: ignore[arg-type]
            then()
            admission.used = True
    except Refusal as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize("same_worker", [True, False])
def test_while_a_proof_waits_for_a_place_nobody_else_has_one_by_it(
    clock: Waiting, cells: Cells, *, same_worker: bool
) -> None:
    first = worker(clock, cells)
    other = first if same_worker else worker(clock, cells)
    first.buckets.fills(ROOM)
    clock.seconds += 2 * DAY
    assert first.buckets.take(Charge(BURST, 0, 0, 0), ROOM)
    clock.seconds += 99  # a hundredth of the bucket is one letter
    written = Solver(toll.seed_of(cells.key, int(clock() // 3600)), bytes(32)).solve(int(clock() // 3600), 60).encode()
    answers: list[str] = []
    waited: list[float] = []

    def others() -> None:
        begun = clock.seconds
        answers.extend(ask(other, written, f"circuit {number}") for number in range(20))
        waited.append(clock.seconds - begun)

    clock.meanwhile = others
    assert ask(first, written, "circuit") == ""
    assert answers == ["slow-down"] * 20
    assert waited[0] < PATIENCE, "they were in the queue"


@pytest.mark.parametrize("same_worker", [True, False])
def test_while_an_opening_comes_the_same_proof_takes_nothing_more(
    clock: Waiting, cells: Cells, *, same_worker: bool
) -> None:
    first = worker(clock, cells)
    other = first if same_worker else worker(clock, cells)
    first.buckets.fills(ROOM)
    clock.seconds += 2 * DAY
    assert first.buckets.take(Charge(60, 0, 0, 0), ROOM)
    written, before = proof_of(cells, clock), first.buckets.fills(ROOM)[0]
    answers: list[str] = []
    held: list[float] = []

    def others() -> None:
        answers.append(ask(other, written, "another", lambda: held.append(first.buckets.fills(ROOM)[0])))

    assert ask(first, written, "circuit", others) == ""
    assert answers == ["slow-down"]
    assert held == []
    assert first.buckets.fills(ROOM)[0] == pytest.approx(before - 1 / BURST)


def test_a_proof_whose_request_broke_off_may_come_again(clock: Waiting, cells: Cells) -> None:
    gate = worker(clock, cells)
    gate.buckets.fills(ROOM)
    clock.seconds += 2 * DAY
    assert gate.buckets.take(Charge(60, 0, 0, 0), ROOM)
    written = proof_of(cells, clock)

    def breaks() -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        ask(gate, written, "circuit", breaks)
    assert ask(gate, written, "circuit") == ""


def test_what_is_free_asks_for_no_turn(clock: Waiting, cells: Cells) -> None:
    """A source whose connection broke begins anew at once, also while the server still waits for the old one."""
    gate = worker(clock, cells)
    answers: list[str] = []

    assert ask(gate, "", "circuit", lambda: answers.append(ask(gate, "", "another"))) == ""
    assert answers == [""]


def test_workers_see_each_others_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with cells.once(TOKEN) as held:
            os.write(writing, b"y" if held else b"n")
            signal.pause()
        os._exit(1)
    try:
        assert os.read(reading, 1) == b"y"
        with cells.once(TOKEN) as held, cells.once(sha256(b"other")) as other, cells.alone():
            assert (held, other) == (False, True)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
    with cells.once(TOKEN) as held, cells.once(TOKEN) as again:
        assert (held, again) == (True, False)
    with cells.once(TOKEN) as held:
        assert held
    assert [*tmp_path.iterdir()] == [], "nothing has a name"


def test_a_proof_is_for_one_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that share a database have keys of their own: what was paid to one is nothing to another."""
    monkeypatch.setattr(toll, "TRIES", 80)
    clock = Clock()
    here, there = Tolls(Cells().key, clock), Tolls(Cells().key, clock)
    written = Solver(toll.seed_of(here._key, HOUR), bytes(32)).solve(HOUR, 1).encode()

    assert here.paid(written, TOKEN, 1) == 1
    assert there.paid(written, TOKEN, 1) == 0


@pytest.fixture(name="line")
def _line(tmp_path: Path, organisations: list[Organisation]) -> Iterator[Line]:
    line = Line(tmp_path, organisations)
    yield line
    line.app.extensions[STORE].engine.dispose()


def test_a_proof_that_was_spent_opens_nothing_more(line: Line) -> None:
    """Neither another Envelope under its token, nor the same one again under another."""
    sent = envelope(line.organisations)
    line.empty_to(0.4)
    written = line.pay(sent, 5)
    assert line.open(sent, written) == (201, "stored")
    fill = line.buckets.fills(ROOM)[0]
    other = replace(envelope(line.organisations), token=sent.token)

    assert line.open(other, written) == (200, "stored"), "as it was told before: nothing is stored"
    assert line.open(sent.again(), written) == (429, "toll")
    assert line.buckets.fills(ROOM)[0] == fill
