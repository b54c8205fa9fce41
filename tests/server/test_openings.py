"""Few openings in the life of a circuit: whoever wants many needs many circuits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.client import bearer
from support.sealed import Organisation, Sent, envelope, keys_folder, three
from tipbox.server.config import Config
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.uploads.cells import Cells
from tipbox.server.uploads.gate import Clocks
from tipbox.server.uploads.openings import STEP, UNCOUNTED, Openings
from tipbox.server.web.app import GATE, STORE, create_app
from tipbox.server.web.worker_keys import CIRCUIT, CIRCUIT_DEMANDED, HOURLY

pytestmark = pytest.mark.reads_date

MOST = 4


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    seconds: float = 1000.0 * STEP

    def __call__(self) -> float:
        return self.seconds


def taken(openings: Openings, circuit: str, most: int = 100) -> int:
    """How often a circuit may open now, ``most`` times at most."""
    return next((count for count in range(most) if not openings.take(circuit)), most)


def test_a_circuit_has_a_few_and_then_one_in_ten_minutes() -> None:
    clock = Clock()
    openings = Openings(Cells(), MOST, clock)

    assert taken(openings, "one") == MOST
    assert taken(openings, "other") == MOST, "each circuit has its own"
    clock.seconds += STEP - 1
    assert taken(openings, "one") == 0
    clock.seconds += 1
    assert taken(openings, "one") == 1
    clock.seconds += 100 * STEP
    assert taken(openings, "one") == MOST


def test_what_came_to_nothing_is_given_back() -> None:
    openings = Openings(Cells(), MOST, Clock())
    for _ in range(100):
        assert openings.take("one")
        openings.give_back("one")
    openings.give_back("one")

    assert taken(openings, "one") == MOST


def test_whoever_names_no_circuit_is_not_counted() -> None:
    openings = Openings(Cells(), MOST, Clock())

    assert taken(openings, "") == 100
    assert taken(Openings(Cells(), UNCOUNTED, Clock()), "one", 1000) == 1000


def test_thousands_of_circuits_that_used_all_of_theirs_leave_others_theirs() -> None:
    openings = Openings(Cells(), MOST, Clock())
    for number in range(5000):
        for _ in range(MOST):
            openings.take(f"attacker {number}")

    assert all(taken(openings, f"source {number}") == MOST for number in range(100))


def test_all_workers_count_together_and_the_table_names_nobody(tmp_path: Path) -> None:
    clock, cells = Clock(), Cells(tmp_path)
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            os._exit(taken(Openings(cells, 100, clock), "one", 50) != 50)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    openings = Openings(cells, 100, clock)

    assert taken(openings, "one") == 0
    assert sorted(set(cells.table[:])) == [0, 100], "counts, and nothing else"
    clock.seconds += 100 * STEP
    openings.forget()
    assert not any(cells.table[:]), "and no trace of them later"


class Line:
    """A server in place, whose requests come by circuits that tests name."""

    def __init__(self, folder: Path, organisations: list[Organisation]) -> None:
        home = Home(folder / "home")
        config = prepare_server(home.path, keys_folder(folder / "keys", organisations))
        self.clock, self.cells = Clock(), Cells()
        self.app = create_app(home, Config(**config.model_dump()), cells=self.cells, clocks=Clocks(self.clock))

    def open(self, sent: Sent, circuit: str, *, by_tor: bool = True) -> tuple[int, str]:
        """Status, and state or error."""
        base = {CIRCUIT: circuit, CIRCUIT_DEMANDED: by_tor}
        answer = self.app.test_client().put(
            "/api/envelope", data=sent.start, headers=bearer(sent.token), environ_base=base
        )
        value = answer.get_json()
        return answer.status_code, value.get("state") or value["error"]


def test_the_fifth_opening_of_a_circuit_waits_and_repeats_do_not(tmp_path: Path) -> None:
    organisations = three()
    line = Line(tmp_path, organisations)
    sent = [envelope(organisations) for _ in range(MOST)]
    stranger, late = envelope(three()), envelope(organisations)

    assert line.open(stranger, "one") == (422, "unknown-organisation"), "nothing came of it"
    assert [line.open(one, "one") for one in sent] == [(201, "stored")] * MOST
    assert line.open(late, "one") == (429, "slow-down")
    assert [line.open(one, "one") for one in sent] == [(200, "stored")] * MOST, "opened before: never counted again"
    assert line.open(late.again(), "other") == (201, "stored")
    assert line.open(envelope(organisations), "one", by_tor=False) == (201, "stored"), "a connection of a TCP bind"
    line.clock.seconds += STEP
    assert line.open(late, "one") == (201, "stored")
    assert any(line.cells.table[:])
    line.clock.seconds += MOST * STEP
    line.app.extensions[HOURLY]()
    assert not any(line.cells.table[:]), "whoever looks later finds nothing"
    assert line.app.extensions[GATE].buckets.now() == line.clock.seconds
    line.app.extensions[STORE].engine.dispose()
