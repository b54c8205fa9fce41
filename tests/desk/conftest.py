"""The desk that most tests of this folder use, the server that it hears from, and commands that are cut short."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from _pytest.terminal import TerminalReporter

from support.desk import Desk, Desks, Exporter
from support.killed import Ended, Ending, Points

EVERY_POINT: Final = "EVERY_POINT" in os.environ
"""As ``make faults`` sets it."""
LEAST_KILLS: Final = 200
"""Points at which ``make faults`` kills."""
MOST: Final = {Ending.KILLED: 9, Ending.FULL: 4, Ending.PULLED: 4, Ending.STOPPED: 4}
"""Points of a command at which it is cut short, unless all are to be tried."""
TRIALS: Final = 3
"""How often one point is tried: of nine that a sample has, none may be missing for long."""
_CODES: Final = {
    Ending.KILLED: (None, 0),
    Ending.FULL: (0, 3, 7, 8),
    Ending.PULLED: (0, 3, 7, 8),
    Ending.STOPPED: (0, 130),
}
_PROPERTY: Final = "cut short"


@pytest.fixture
def desk(desks: Desks) -> Desk:
    """One of three organisations."""
    return desks.desks[2]


@pytest.fixture
def server() -> Exporter:
    """A server that writes Bundles for desks."""
    return Exporter()


CutShort = Callable[..., Iterator[tuple[Desk, Ended]]]


@pytest.fixture
def cut_short(tmp_path: Path, record_property: Callable[[str, object], None]) -> CutShort:
    """Runs a command on a fresh desk for each of its points, cut short there: the desk, and how the command ended."""

    def each(fresh: Callable[[], Desk], ending: Ending, *command: str | Path) -> Iterator[tuple[Desk, Ended]]:
        fresh()
        points = Points.of(tmp_path / "calls", *command)
        places = points.places(ending, 0 if EVERY_POINT else MOST[ending])
        reached = 0
        for place in places:
            # Ids are random, and so is how many pages of the store a command writes: the last may not be there.
            for _ in range(TRIALS):
                desk = fresh()
                ended = points.cut(place, ending, *command)
                assert ended.code in _CODES[ending], (points.calls[place], ended)
                assert not any(wrong in ended.said for wrong in ("this is a bug", "The vault is damaged; ")), ended
                if is_cut := ending is not Ending.KILLED or ended.code is None:
                    break
            reached += is_cut
            yield desk, ended
        assert reached >= 0.9 * len(places)
        record_property(_PROPERTY, [ending.value, reached])

    return each


def _cut(reporter: TerminalReporter) -> Counter[str]:
    """How often tests that passed cut a command short."""
    counts: Counter[str] = Counter()
    for report in reporter.stats.get("passed", ()):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == _PROPERTY:
                counts[value[0]] += value[1]
    return counts


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if EVERY_POINT and reporter is not None and _cut(reporter)[Ending.KILLED.value] < LEAST_KILLS:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    if EVERY_POINT:
        counts = _cut(terminalreporter)
        said = ", ".join(f"{ending.value} at {counts[ending.value]}" for ending in Ending)
        terminalreporter.write_line(f"commands of the desk cut short at different points: {said}")
        if counts[Ending.KILLED.value] < LEAST_KILLS:
            terminalreporter.write_line(f"fewer than {LEAST_KILLS} kills", red=True)
