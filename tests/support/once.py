"""What is dear to make and only copied: made once for a whole run, by whichever of its processes comes first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder ``name`` of this run, filled by ``make``; whoever comes while it is being made waits.

    Args:
        factory: pytest's own.
        name: the same for all who share the folder.
        make: makes the folder and what is in it. Nobody changes it afterwards.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # of this run; each of its processes has a folder of its own in there
    folder = root / f"once-{name}"
    with (root / f"once-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = root / f"once-{name}.making"
            shutil.rmtree(making, ignore_errors=True)  # of one who failed
            make(making)
            making.rename(folder)
    return folder
