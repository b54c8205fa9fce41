"""Finds the tests that read the date and do not say so; ``pytest --reads-date`` runs those that do.

A test that asks for the day, in a fixture, in itself or in the code under test, or that starts a tipbox, which may ask,
is marked ``reads_date``, and `make test` runs it by a second clock as well. Where that takes long, tests/clocks.txt
names the test or its file with the reason, and only `make clocks` runs it by others. What is marked ``real_clock``
gives its reason there, and no other clock runs it. Any other that reads the date fails: the marks stay true by
themselves.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest

from tipbox.formats.base import days

LIST: Final = Path(__file__).parents[1] / "clocks.txt"
MARK: Final = "reads_date"
MARKS: Final = (MARK, "real_clock")
UNITS: Final = (
    "faults",
    "upkeep",
    "server",
    "stores",
    "load",
    "attackers",
    "plain",
    "desk",
    "source",
    "project",
    "formats",
)
"""Folders of tests that start neither a browser nor Tor nor a Debian tree, from the longest on."""


def starts_tipbox(executable: object, arguments: object) -> bool:
    """Whether a process is one of the package: its command, or a Python that is told of it."""
    if Path(str(executable)).name == "tipbox":
        return True
    flag, told = map(str, (*arguments, "", "", "")[1:3]) if isinstance(arguments, list | tuple) else ("", "")
    is_python = str(executable) == sys.executable and flag in {"-c", "-m"}
    return is_python and re.search(r"\btipbox(\.|$)", told) is not None


class Watch:
    """The plugin."""

    def __init__(self, names: list[str], *, only_marked: bool) -> None:
        self._names = names
        """What tests/clocks.txt names."""
        self._only_marked = only_marked
        self._fixtures: dict[tuple[str, str], bool] = {}
        """Whether each read the date while it was set up, unseen by later tests: by name, and where it is known."""
        self._open: list[bool] = []
        """For the running test and each fixture that is being set up for it: whether the date was read."""

    def start(self) -> None:
        """Be told of each reading, in this process from now on."""
        today = days.today

        def read() -> date:
            self._note()
            return today()

        days.today = read
        sys.addaudithook(self._audit)

    def _note(self) -> None:
        self._open = [True] * len(self._open)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and self._open and starts_tipbox(*arguments[:2]):
            self._note()

    def _is_named(self, item: pytest.Item) -> bool:
        from support.promises import matches  # only now: pytest loads the plugins in any order

        return any(matches(name, item.nodeid) for name in self._names)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """With ``--reads-date``, leave out what does not read it, or is left to `make clocks`."""
        if self._only_marked:
            apart = [item for item in items if not item.get_closest_marker(MARK) or self._is_named(item)]
            config.hook.pytest_deselected(items=apart)
            items[:] = [item for item in items if item not in set(apart)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        """Watch the test, its fixtures included."""
        self._open = [False]
        try:
            return (yield)
        finally:
            self._open = []

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        """Remember of each fixture whether it read the date."""
        self._open.append(False)
        try:
            return (yield)
        finally:
            fixture = fixturedef.argname, fixturedef.baseid
            self._fixtures[fixture] = self._open.pop() or self._fixtures.get(fixture, False)

    def _is_given(self, item: pytest.Item) -> bool:
        """Whether a fixture of the test read the date; of those of one name, a test has the nearest."""
        from_afar = sorted(self._fixtures.items(), key=lambda fixture: len(fixture[0][1]))
        reads = {name: read for (name, place), read in from_afar if item.nodeid.startswith(place)}
        return any(reads.get(name, False) for name in getattr(item, "fixturenames", ()))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Fail the test that has read the date and does not say so."""
        yield
        reads = any(self._open) or self._is_given(item)
        marked = any(map(item.get_closest_marker, MARKS))
        if reads and item.path.parent.name in UNITS and not marked and not self._is_named(item):
            raise AssertionError(
                f"{item.nodeid} reads the date: mark it {MARK}, or name it in tests/{LIST.name} with a reason"
            )


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--reads-date`."""
    parser.addoption("--reads-date", action="store_true", help="only what reads the date and does not take long")


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin, in each process that runs tests."""
    from support.check import load  # only now: pytest loads the plugins in any order

    watch = Watch(load(LIST), only_marked=config.getoption("reads_date"))
    watch.start()
    config.pluginmanager.register(watch, "reads-date")
