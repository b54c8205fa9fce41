"""Bodies have a least pace: nobody holds a place by trickling, and a slow phone is never in its way."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import pytest
from gevent import socket as gevent_socket
from gevent.event import Event
from gunicorn.http.body import LengthReader
from gunicorn.http.unreader import SocketUnreader, Unreader

from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, MIB
from tipbox.server.process import request_body
from tipbox.server.process.circuits import Circuits
from tipbox.server.process.heads import RECEIVE
from tipbox.server.process.request_body import FEW, GRACE_SECONDS, LEAST_PACE, Body
from tipbox.server.process.worker import STALL_SECONDS
from tipbox.server.refusal import Refusal
from tipbox.server.storage.blobs import NoBlob
from tipbox.server.uploads import intake
from tipbox.server.uploads.cells import Cells
from tipbox.server.uploads.in_flight import InFlight
from tipbox.server.uploads.intake import MAX_OPENING, MAX_RUN

DAY = 24 * 3600
PHONE = 2200
"""Bytes a second that 20 kbit/s leave, behind what Tor's cells and links take."""
ROUND_TRIP = 3.0


@dataclass
class Line(Unreader):  # type: ignore[misc]
    """A sender's line, which keeps the time; ``comes``: the next bytes, and the seconds until they are here."""

    comes: Callable[[int], tuple[int, float]]
    now: float = 0.0
    sent: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def clock(self) -> float:
        return self.now

    def chunk(self, size_hint: int | None = None) -> bytes:
        size, seconds = self.comes(min(size_hint or 8192, 65_536))
        self.now += seconds
        self.sent += size
        return bytes(size)

    def within(self, seconds: float, function: Callable[[int], bytes], size: int) -> bytes | None:
        until = self.now + seconds
        data = function(size)
        if self.now <= until:
            return data
        self.now = until
        return None

    def body(self, length: int) -> Body:
        share = Circuits(1, Cells()).own().in_flight(Event())
        return Body(LengthReader(self, length), share, clock=self.clock, within=self.within)


def receive(line: Line, length: int) -> str:
    """The code of the refusal, or nothing."""
    body = line.body(length)
    try:
        while piece := body.read1(65_536):
            length -= len(piece)
            assert line.now < DAY, "it is waited for without end"
    except Refusal as refusal:
        return refusal.code
    assert length == 0
    return ""


@pytest.mark.parametrize("length", [17_408, MAX_OPENING, MAX_RUN])
@pytest.mark.parametrize("every", [1, 60, GRACE_SECONDS - 1])
def test_a_byte_now_and_then_holds_no_place(length: int, every: float) -> None:
    line = Line(lambda _: (1, every))

    assert receive(line, length) == "slow-down"
    assert line.now <= 2 * GRACE_SECONDS


@pytest.mark.parametrize(("pace", "code"), [(LEAST_PACE * 0.9, "slow-down"), (LEAST_PACE * 1.01, "")])
def test_the_least_pace_is_as_it_says(pace: float, code: str) -> None:
    line = Line(lambda size: (min(size, 256), min(size, 256) / pace))

    assert receive(line, MAX_OPENING) == code
    assert line.now <= GRACE_SECONDS + MAX_OPENING / LEAST_PACE


def test_who_sent_much_at_once_has_no_longer_patience() -> None:
    """Else most of a run would hold its room for hours, at no cost."""
    line = Line(lambda _: (1, 60))
    line.comes = lambda size: (size, 0.01) if line.sent < MAX_RUN - 65_536 else (1, 60)

    assert receive(line, MAX_RUN) == "slow-down"
    assert line.now <= 2 * GRACE_SECONDS


@dataclass
class Phone:
    """20 kbit/s and round trips of three seconds; the line stands still now and then, and breaks."""

    draw: random.Random
    quiet: float = 0.0
    runs: list[int] = field(default_factory=list)

    def comes(self, size: int) -> tuple[int, float]:
        size = min(size, self.draw.randint(1, 4) * 498)  # a few of Tor's cells
        pause = self.draw.choice(
            (*[0.0] * 120, *[ROUND_TRIP] * 4, 20.0, GRACE_SECONDS * 0.8 if not self.quiet else 0.0)
        )
        # After a long pause it goes on for a while.
        self.quiet = 1 if pause > ROUND_TRIP else max(0.0, self.quiet - size / (PHONE * 120))
        return size, size / PHONE + pause


@pytest.mark.parametrize("seed", range(8))
def test_a_slow_phone_is_never_refused(seed: int) -> None:
    """A letter of 4 MiB, and a body in runs as the page sends them, one after the other."""
    draw = random.Random(seed)
    assert receive(Line(Phone(draw).comes), MAX_OPENING) == ""
    for _ in range(20):
        parts = draw.choice((1, 2, 4, 64))
        assert receive(Line(Phone(draw).comes), parts * ENVELOPE_PART_SIZE) == ""


def test_a_disk_or_a_queue_that_takes_long_is_not_the_senders() -> None:
    line = Line(lambda size: (size, size / PHONE))
    body = line.body(MIB)
    received = 0
    while piece := body.read1(65_536):
        received += len(piece)
        line.now += GRACE_SECONDS

    assert received == MIB


def test_a_body_that_stands_still_on_a_socket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "GRACE_SECONDS", 0.05)
    here, there = gevent_socket.socketpair()
    here.settimeout(STALL_SECONDS)
    with here, there:
        there.sendall(bytes(1000) + b"next")
        share = Circuits(1, Cells()).own().in_flight(Event())
        body = Body(LengthReader(SocketUnreader(here), 1000), share)
        assert body.read(1000) == bytes(1000)
        assert body.read(1) == b""
        assert body.read1(1) == b""
        body = Body(LengthReader(SocketUnreader(here), 1000), share)
        with pytest.raises(Refusal, match="wait"):
            body.read(1000)
        assert here.gettimeout() == STALL_SECONDS, "what else waits there has another patience"
        there.shutdown(socket.SHUT_WR)
        assert Body(LengthReader(SocketUnreader(here), 1000), share).read(1000) == b""


def test_a_body_of_bytes_one_by_one_is_held_as_bytes() -> None:
    line = Line(lambda _: (2, 0.0))

    assert line.body(10_000).read(9_999) == bytes(9_999)


def test_only_who_fills_few_bytes_is_asked_for_many() -> None:
    """Memory is taken for all that is asked for; ten thousand slow sources ask for some each few seconds."""
    asked: list[int] = []

    def comes(size: int) -> tuple[int, float]:
        asked.append(size)
        return min(size, pieces[len(asked) - 1]), 0.0

    pieces = [600, 600, 100, MIB, MIB, 20_000, 600, 600]
    line = Line(comes)
    body = line.body(MIB)
    assert len(body.read1(RECEIVE)) == len(body.read1(RECEIVE)) == 600
    assert len(body.read(100)) == 100, "little that was asked for and came says nothing"
    while len(asked) < len(pieces):
        assert body.read1(RECEIVE)
    assert asked == [FEW, FEW, 100, FEW, RECEIVE, RECEIVE, RECEIVE, FEW]


class Piece(bytes):
    """Bytes that say when nobody holds them any more."""

    held = 0

    def __new__(cls, size: int) -> Self:
        cls.held += 1
        return super().__new__(cls, size)

    def __del__(self) -> None:
        Piece.held -= 1


class Slow(Body):
    """A body of pieces of 600 bytes, before each of which its sender is waited for."""

    def __init__(self) -> None:
        self.most_held = 0

    def read1(self, size: int) -> bytes:
        self.most_held = max(self.most_held, Piece.held)
        return Piece(min(size, 600))


def test_nothing_that_was_written_is_held_while_more_is_waited_for() -> None:
    """Ten thousand slow sources wait at the same time."""
    run, opening = Slow(), Slow()
    with InFlight(MIB).request() as share:
        received = intake._receive(run, intake._Expected(0, [ENVELOPE_PART_SIZE], []), NoBlob(), share)
    for piece in intake._pieces(opening, 20_000):
        assert piece
        del piece

    assert received.cut is None
    assert (run.most_held, opening.most_held) == (0, 0)
