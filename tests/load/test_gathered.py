"""What slow sources have sent is noted a few times a second for all of them: every other writer waits meanwhile."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from load.simulated import Clock, Line
from support.client import bearer
from support.sealed import Organisation, Sent, envelope
from tipbox.server.uploads.intake import TICKS
from tipbox.server.web.app import STORE

SIZE = 200_000
PIECES = 64

pytestmark = pytest.mark.reads_date


class Slow(io.BytesIO):
    """A body that takes so many seconds in all."""

    def __init__(self, data: bytes, clock: Clock, seconds: float) -> None:
        super().__init__(data)
        self._clock, self._pause, self._size = clock, seconds / PIECES, -(-len(data) // PIECES)

    def read1(self, size: int | None = -1) -> bytes:
        self._clock.seconds += self._pause
        return super().read1(self._size if size is None or size < 0 else min(size, self._size))


def seconds_until_answered(line: Line, sent: Sent, part: int, seconds: float) -> float:
    """After the last byte of a part that took so long."""
    body, begun = sent.parts[part], line.clock.seconds
    stream = {"wsgi.input": Slow(body, line.clock, seconds), "CONTENT_LENGTH": str(len(body))}
    answer = line.client.put(
        f"/api/envelope/parts/{part}",
        headers=bearer(sent.token),
        environ_overrides=stream | {"wsgi.input_terminated": True},
    )
    assert answer.status_code == 200, answer.text
    return line.clock.seconds - begun - seconds


def noted(line: Line) -> list[float]:
    """When runs are noted from now on."""
    moments: list[float] = []

    def look(*asked: Any) -> None:
        if asked[2].startswith("INSERT INTO run"):
            moments.append(line.clock.seconds)

    event.listen(line.app.extensions[STORE].engine, "before_cursor_execute", look)
    return moments


@pytest.mark.parametrize("tick", TICKS)
def test_who_took_long_waits_a_hundredth_of_it_for_others(
    tmp_path: Path, organisations: list[Organisation], tick: float
) -> None:
    line, sent = Line(tmp_path, organisations), envelope(organisations, SIZE)
    assert line.open(sent) == (201, "open")
    moments, took = noted(line), 100 * tick + 0.1

    waited = [seconds_until_answered(line, sent, part, took + part / 10) for part in (0, 1, 2)]

    assert all(0 < one <= 2 * tick <= took / 50 for one in waited), waited
    apart = [later - earlier for earlier, later in pairwise(moments)]
    assert [one / tick - round(one / tick) for one in apart] == pytest.approx([0] * 2, abs=1e-6), "at the same moments"
    assert len({round(one % tick, 6) for one in waited}) == 3, "and answered at different ones"


def test_who_is_faster_does_not_wait(tmp_path: Path, organisations: list[Organisation]) -> None:
    line, sent = Line(tmp_path, organisations), envelope(organisations, SIZE)
    assert line.open(sent) == (201, "open")

    assert seconds_until_answered(line, sent, 0, 100 * min(TICKS) - 1) == pytest.approx(0, abs=1e-6)
