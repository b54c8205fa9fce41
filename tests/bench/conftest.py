"""Benches are `bench_*.py`; their figures end up in one table and in `build/bench.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from _pytest.terminal import TerminalReporter

from bench.figures import Ledger, machine

RESULT: Final = Path(__file__).parents[2] / "build" / "bench.json"
_LEDGER: Final = pytest.StashKey[Ledger]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEDGER] = Ledger()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    named = parent.session.isinitpath(file_path)  # pytest itself collects what the command line names
    if file_path.suffix == ".py" and file_path.name.startswith("bench_") and not named:
        return pytest.Module.from_parent(parent, path=file_path)
    return None


@pytest.fixture(scope="session")
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Where benches note what they found."""
    return request.config.stash[_LEDGER]


@pytest.fixture
def disk_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for gigabytes, gone with the bench."""
    import shutil

    folder = tmp_path_factory.mktemp("disk")
    yield folder
    shutil.rmtree(folder)


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    ledger = config.stash[_LEDGER]
    if not ledger.benches:
        return
    facts = machine()
    terminalreporter.section("machine")
    for name, value in facts.items():
        terminalreporter.write_line(f"{name:10} {value}")
    terminalreporter.section("figures and bounds")
    for line in ledger.table():
        terminalreporter.write_line(line, red="NOT MET" in line)
    for bench in ledger.benches:
        if not bench.quiet:
            terminalreporter.write_line(
                f"{bench.name}: only {bench.idle_before:.0f} % of the processor was idle before; measure again",
                yellow=True,
            )
    ledger.write(RESULT, facts)
    terminalreporter.write_line(f"written to {RESULT}")
