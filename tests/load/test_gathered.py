"""What slow sources have sent is noted a few times a second for all of them: every other writer waits meanwhile."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from sqlalchemy import event

from load.simulated import Clock, Line
from support.client import bearer
from support.sealed import Organisation, Sent, envelope
from tipbox.server.uploads.intake import GATHERED_SECONDS, SLOW_SECONDS
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


def test_who_took_long_waits_a_hundredth_of_it_at_most(tmp_path: Path, organisations: list[Organisation]) -> None:
    line, sent = Line(tmp_path, organisations), envelope(organisations, SIZE)
    assert line.open(sent) == (201, "open")
    noted: list[float] = []
    event.listen(
        line.app.extensions[STORE].engine,
        "before_cursor_execute",
        lambda *asked: noted.append(line.clock.seconds) if asked[2].startswith("INSERT INTO run") else None,
    )

    waited = [seconds_until_answered(line, sent, part, SLOW_SECONDS + 0.1 + part / 10) for part in (0, 1, 2)]

    assert all(0 < one <= 2 * GATHERED_SECONDS <= SLOW_SECONDS / 100 for one in waited), waited
    assert [one % GATHERED_SECONDS for one in noted] == pytest.approx([0] * 3), "all are noted at the same moments"
    assert len({one % GATHERED_SECONDS for one in waited}) == 3, "and answered at different ones"


def test_who_is_faster_does_not_wait(tmp_path: Path, organisations: list[Organisation]) -> None:
    line, sent = Line(tmp_path, organisations), envelope(organisations, SIZE)
    assert line.open(sent) == (201, "open")

    assert seconds_until_answered(line, sent, 0, SLOW_SECONDS - 1) == pytest.approx(0, abs=1e-6)
