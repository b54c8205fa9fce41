"""The desk that most tests of this folder use, and the server that it hears from."""

from __future__ import annotations

import pytest

from support.desk import Desk, Desks, Exporter


@pytest.fixture
def desk(desks: Desks) -> Desk:
    """One of three organisations."""
    return desks.desks[2]


@pytest.fixture
def server() -> Exporter:
    """A server that writes Bundles for desks."""
    return Exporter()
