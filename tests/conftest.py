"""What every test file shares."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# A busy machine is slow, not wrong.
settings.register_profile("tipbox", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tipbox")

# Node and npm of requirements-build.lock, never the machine's.
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

pytest_plugins = [
    *("support.promises", "support.check", "support.reads_date", "support.mutants"),
    *("support.commands", "support.fixtures", "support.services"),
]

DEBIAN = ("tests/deploy/test_booted.py", "tests/deploy/test_kit.py")
"""They share Debian trees, which take minutes to make: one process runs them."""


CLOCKS = "tests/project/test_clocks.py"
"""It runs others once more."""

LONG = ("deploy", "onion", "browser", "faults", "upkeep", "server")
"""Folders whose files take minutes: they begin first, so that no process is left with a long one at the end."""


def _rank(item: pytest.Item) -> tuple[bool, int]:
    file = item.nodeid.partition("::")[0]
    folder = "faults" if file == CLOCKS else item.path.parent.name
    return file not in DEBIAN, LONG.index(folder) if folder in LONG else len(LONG)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest first; within that, in the order of files."""
    items.sort(key=_rank)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are processors: many tests wait for disks, browsers and circuits. Those of --check do not."""
    return (os.cpu_count() or 1) + (not config.getoption("check"))


class _Scheduling(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return DEBIAN[0] if scope in DEBIAN else scope


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """With ``--dist loadfile``: whole files to a process, and those that share what is dear to one."""
    return _Scheduling(config, log) if config.getoption("dist") == "loadfile" else None
