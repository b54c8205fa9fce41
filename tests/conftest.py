"""What every test file shares."""

from __future__ import annotations

import os
import re
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

# Hundreds of programs are started, and each would compile all of its modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

pytest_plugins = [
    *("support.promises", "support.check", "support.reads_date", "support.mutants"),
    *("support.commands", "support.fixtures", "support.services"),
]

DEBIAN = ("tests/deploy/test_booted.py", "tests/deploy/test_kit.py")
"""They share Debian trees, which take minutes to make: one process runs them."""


LONG = (
    "deploy",
    "onion",
    "browser",
    "faults",
    "project/test_clocks.py",
    "project/test_cli_demo.py",
    "project/test_client_units.py",
    "project/test_promises.py",
    "project/test_package.py",
    "source/test_courier.py",
    "pages",
    "desk/test_crash.py",
    "source/test_conversation.py",
    "desk/test_ceremony.py",
    "upkeep",
    "server",
    "load",
    "plain",
)
"""Folders and files that take minutes: they begin first, so that no process is left with a long one at the end."""

EACH = ("tests/faults/test_cuts_and_kills.py", "tests/project/test_cli_demo.py")
"""Their tests take minutes and share nothing but what a whole run shares: any process takes any of them."""

ONION = "tests/onion/"
"""One process makes the Tor network for all of them, and ends it with the last."""

_BROWSER = re.compile(r"tests/browser/.*\[.*\b(chromium|firefox-standard|firefox-safer|firefox-safest)\b")


def _rank(item: pytest.Item) -> tuple[bool, int]:
    file, folder = item.nodeid.partition("::")[0], item.path.parent.name
    places = [LONG.index(name) for name in (folder, f"{folder}/{item.path.name}") if name in LONG]
    return file not in DEBIAN, min(places, default=len(LONG))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest first; within that, in the order of files."""
    items.sort(key=_rank)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two more than there are processors: tests wait for disks, browsers and circuits half of the time.

    Those of --check do not.
    """
    return (os.cpu_count() or 1) + (0 if config.getoption("check") else 2)


class _Scheduling(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        if scope in DEBIAN:
            return DEBIAN[0]
        if scope in EACH:
            return nodeid
        if scope.startswith(ONION):
            return ONION
        # A process starts one browser and keeps it, in place of each file's process starting all of them.
        browser = _BROWSER.match(nodeid)
        return f"tests/browser {browser[1]}" if browser else scope


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """With ``--dist loadfile``: whole files to a process, but for those that share what is dear, or nothing."""
    return _Scheduling(config, log) if config.getoption("dist") == "loadfile" else None
