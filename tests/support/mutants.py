"""What mutmut (`make mutants`) needs of pytest, in the copy of this tree that it makes.

It names the tests that reach a changed function in no order, and hands over how long each took: the fastest run first,
since one that fails ends the run of a mutant. A change may also make a loop endless that fills memory.
"""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Final

import pytest

from tipbox.formats.base.limits import GIB

STATISTICS: Final = Path("mutmut-stats.json")
"""Made by mutmut beside the tests."""
MEMORY: Final = 3 * GIB
"""Address space of the tests of one mutant, in bytes: many times what they take."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of their time; those of no known time last."""
    if os.environ.get("MUTANT_UNDER_TEST") and STATISTICS.exists():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
        seconds = json.loads(STATISTICS.read_text(encoding="utf-8"))["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, float("inf")))
