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

pytest_plugins = ["support.promises", "support.check"]

DEBIAN = ("tests/deploy/test_booted.py", "tests/deploy/test_kit.py")
"""They share Debian trees, which take minutes to make: one process runs them."""


class _Scheduling(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return DEBIAN[0] if scope in DEBIAN else scope


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """With ``--dist loadfile``: whole files to a process, and those that share what is dear to one."""
    return _Scheduling(config, log) if config.getoption("dist") == "loadfile" else None
