"""What tests of the load share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from load.simulated import Line
from support.sealed import Organisation
from tipbox.server.web.app import STORE


@pytest.fixture(name="line")
def _line(tmp_path: Path, organisations: list[Organisation]) -> Iterator[Line]:
    line = Line(tmp_path, organisations)
    yield line
    line.app.extensions[STORE].engine.dispose()
