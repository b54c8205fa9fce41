"""A desk of today with a stick, and its pages on this machine's loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from desk.pages.batch import Batch, make_batch
from desk.pages.hand import Hand, hand_in
from desk.pages.serving import Pages, serving
from support.desk import Desk, Desks, Exporter
from tipbox.formats.base import days

COUNT = 24


@pytest.fixture
def desks(made_today: Desks, tmp_path: Path) -> Desks:
    return made_today.copy(tmp_path / "desks")


@pytest.fixture
def desk(desks: Desks) -> Desk:
    return desks.desks[1]


@pytest.fixture(scope="session")
def batch(made_today: Desks) -> Batch:
    """Tips for the desk."""
    return make_batch(made_today.manifests, made_today.desks[1].manifest, COUNT, days.today())


@pytest.fixture
def stick(server: Exporter, desk: Desk, batch: Batch, tmp_path: Path) -> Path:
    """A folder with a Bundle of the batch."""
    folder = tmp_path / "stick"
    folder.mkdir()
    server.export(folder / "kibhr-1.bundle", desk.manifest, batch.tips, day=days.today())
    return folder


@pytest.fixture
def filled(desk: Desk, stick: Path) -> Desk:
    """The desk, with the batch imported."""
    desk.take(stick, today=days.today())
    return desk


@pytest.fixture
def pages(filled: Desk, tmp_path: Path) -> Iterator[Pages]:
    """Pages of the desk, locked."""
    with serving(filled, tmp_path / "scratch") as made:
        yield made


@pytest.fixture
def hand() -> Iterator[Hand]:
    """A hand in a browser of this test's own."""
    with hand_in() as made:
        yield made
