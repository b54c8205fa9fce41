"""The line that the attackers of this folder attack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attackers.people import TipLine
from support.world import Ring, running_world


@pytest.fixture(scope="session")
def line(ring: Ring) -> Iterator[TipLine]:
    """One server and three organisations for all tests of a process: each test has sources of its own."""
    with running_world(ring, tcp=True) as made:
        yield TipLine(made)
