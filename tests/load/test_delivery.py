"""Couriers' deliveries: a few at a time, with a least pace, and no more of the disk than has come."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from tipbox.formats.base.limits import GIB, KIB, MIB
from tipbox.server.bundles.delivery import AT_A_TIME, GRACE_SECONDS, LEAST_PACE, SMALL_DELIVERY, Deliveries, Room
from tipbox.server.config import Quota
from tipbox.server.refusal import Refusal
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.executors import InPlaceThreads

T = TypeVar("T")
QUOTA = Quota()
TOTAL = 100 * GIB


@dataclass
class Line(InPlaceThreads):
    """A courier's line, which brings ``pace`` bytes a second until ``breaks``; it keeps the time."""

    pace: float
    breaks: int = 1 << 40
    now: float = 0
    sent: int = 0
    looked: list[int] = field(default_factory=list)

    def read(self, size: int) -> bytes:
        size = min(size, self.breaks - self.sent)
        self.now += size / self.pace
        self.sent += size
        return bytes(size)

    def within(self, seconds: float, function: Callable[..., T], *arguments: Any) -> T | None:
        until = self.now + seconds
        result = function(*arguments)
        if self.now <= until:
            return result
        self.now = until
        return None


def receive(line: Line, length: int, free: int = 50 * GIB) -> str:
    """The code of the refusal, or nothing."""

    file = io.BytesIO()

    def disk() -> Disk:
        line.looked.append(line.sent)
        return Disk(TOTAL, free - file.tell(), holds_bodies=True)

    deliveries = Deliveries(line, 2, clock=lambda: line.now)
    try:
        deliveries.receive(line, length, file, Room(disk, QUOTA, length))
    except Refusal as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize(
    ("pace", "length", "code"),
    [
        (LEAST_PACE * 1.01, 4 * MIB, ""),
        (LEAST_PACE / 2, 4 * MIB, "incomplete"),
        (LEAST_PACE / 2, GRACE_SECONDS * LEAST_PACE // 2, ""),
        (0.02, 4 * GIB, "incomplete"),
    ],
)
def test_a_delivery_has_a_least_pace(pace: float, length: int, code: str) -> None:
    line = Line(pace)
    assert receive(line, length) == code
    assert line.now <= GRACE_SECONDS + (line.sent + 64 * KIB) / LEAST_PACE, "it was waited for too long"


def test_one_that_breaks_off_is_incomplete() -> None:
    assert receive(Line(MIB, breaks=100_000), MIB) == "incomplete"


@pytest.mark.parametrize("error", [TimeoutError, ConnectionResetError])
def test_one_whose_connection_stalls_or_is_reset_is_incomplete(error: type[OSError]) -> None:
    class Broken(Line):
        def read(self, size: int) -> bytes:
            if self.sent:
                raise error
            return super().read(size)

    assert receive(Broken(MIB), MIB) == "incomplete"


def test_the_disk_is_looked_at_before_each_mebibyte() -> None:
    line = Line(MIB)
    assert receive(line, 8 * MIB) == ""
    assert len(line.looked) >= 8


@pytest.mark.parametrize(
    ("length", "free", "code"),
    [
        (SMALL_DELIVERY, 90 * MIB, ""),
        (SMALL_DELIVERY, 64 * MIB + SMALL_DELIVERY, ""),
        (MIB, 40 * MIB, ""),  # below the floor: acknowledgements make room
        (MIB, 32 * MIB, "full"),
        (64 * MIB, GIB + 64 * MIB, ""),
        (64 * MIB, GIB + 64 * MIB - 1, "full"),
    ],
)
def test_what_a_delivery_leaves_free(length: int, free: int, code: str) -> None:
    line = Line(MIB)
    assert receive(line, length, free) == code
    assert not (code and line.sent), "what will find no room need not come"


def test_a_disk_that_fills_up_meanwhile_ends_a_delivery() -> None:
    line = Line(MIB)
    free = [10 * GIB, 10 * GIB, 10 * GIB, GIB]

    def disk() -> Disk:
        return Disk(TOTAL, free.pop(0) if len(free) > 1 else free[0], holds_bodies=True)

    with pytest.raises(Refusal, match="no room"):
        Deliveries(line, 2, clock=lambda: line.now).receive(line, GIB, io.BytesIO(), Room(disk, QUOTA, GIB))
    assert line.sent <= 3 * MIB


@pytest.mark.parametrize("workers", [1, 2])
def test_few_come_at_a_time_and_large_ones_leave_places_to_small_ones(workers: int) -> None:
    places = AT_A_TIME // workers
    deliveries = Deliveries(InPlaceThreads(), workers)
    with ExitStack() as stack:
        for _ in range(places // 2):
            stack.enter_context(deliveries.one(GIB))
        with pytest.raises(Refusal, match="Other Bundles"), deliveries.one(GIB):
            pass
        for _ in range(places - places // 2):
            stack.enter_context(deliveries.one(SMALL_DELIVERY))
        with pytest.raises(Refusal, match="Other Bundles"), deliveries.one(1):
            pass
    with deliveries.one(GIB):
        pass


def test_a_worker_stops_waiting_for_a_line_that_stands_still() -> None:
    code = """
import gevent
from tipbox.server.storage.executors import WorkerThreads
threads = WorkerThreads()
assert threads.within(0.05, gevent.sleep, 600) is None
assert threads.within(0, int) is None
assert threads.within(600, int, "7") == 7
"""
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
