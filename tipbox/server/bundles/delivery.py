"""Taking in what couriers deliver: a few at a time, with a least pace, and no more room than has really come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

from tipbox.formats.base.limits import GIB, KIB, MIB
from tipbox.server.config import Quota
from tipbox.server.refusal import Refusal
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.executors import Threads
from tipbox.server.storage.transactions import DISK_FULL

MAX_DELIVERY: Final = 4 * GIB
"""Bytes of the largest inward Bundle: a desk's outbox has 1 GiB of replies, and is padded to 2 GiB at most."""
SMALL_DELIVERY: Final = 16 * MIB
"""Acknowledgements of more than 100,000 Envelopes fit in."""
AT_A_TIME: Final = 4
"""Deliveries that are being taken in, over all workers; half of them may be large ones."""
LEAST_PACE: Final = 16 * KIB
"""Bytes a second, on average; a slow circuit of Tor carries several times as many."""
GRACE_SECONDS: Final = 60
"""For which a delivery may be behind its least pace."""
_PIECE: Final = 64 * KIB
_LOOK: Final = MIB
"""Bytes after which the disk is looked at again."""
_BUSY: Final = "Other Bundles are being delivered; deliver this one in a few minutes."
_NO_ROOM: Final = "There is no room for this Bundle just now; deliver it again later."
_CUT: Final = "The connection broke before the Bundle was complete; deliver it again."
_SLOW: Final = "The Bundle came too slowly to go on; deliver it again, over a new circuit."


class Deliveries:
    """The deliveries of a worker; each worker counts by itself, so each gets its share."""

    def __init__(self, threads: Threads, workers: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._threads = threads
        self._clock = clock
        self._most = max(2, AT_A_TIME // workers)
        self._going = 0
        self._large = 0

    @contextmanager
    def one(self, length: int) -> Iterator[None]:
        """A place for a delivery of ``length`` bytes; Refusal ``slow-down`` when none is free.

        Large ones have half of the places: they never keep acknowledgements, which make room, from coming in.
        """
        large = int(length > SMALL_DELIVERY)
        if self._going >= self._most or (large and self._large >= self._most // 2):
            raise Refusal("slow-down", _BUSY)
        self._going += 1
        self._large += large
        try:
            yield
        finally:
            self._going -= 1
            self._large -= large

    def receive(self, body: Any, length: int, file: BinaryIO, room: Room) -> None:
        """Write ``length`` bytes of ``body`` to ``file`` as they come.

        Raises:
            Refusal: ``incomplete``: it broke off, or was slower than LEAST_PACE; ``full``: the disk is at its end.
        """
        begun = self._clock()
        received = looked = 0
        room.leave(length)  # what will find no room need not come
        while received < length:
            size = min(_PIECE, length - received)
            deadline = begun + GRACE_SECONDS + (received + size) / LEAST_PACE
            try:
                piece = self._threads.within(deadline - self._clock(), body.read, size)
            except OSError:  # it was reset, or nothing came of it for too long
                raise Refusal("incomplete", _CUT) from None
            if piece is None:
                raise Refusal("incomplete", _SLOW)
            if not piece:
                raise Refusal("incomplete", _CUT)
            if received + len(piece) > looked:
                # Room is taken by what comes, never by what was announced.
                looked = min(length, received + _LOOK)
                room.leave(looked - received)
            received += len(piece)
            try:
                file.write(piece)
            except OSError as error:
                raise (Refusal("full", _NO_ROOM) if error.errno in DISK_FULL else error) from None


class Room:
    """What a delivery leaves free of the disk.

    A large one leaves a quarter of what bodies leave to texts, and so much above the floor that all small ones beside
    it find room. A small one, such as acknowledgements, leaves the floor, below which texts are refused; where that
    cannot be, half of the floor: it is what makes room.
    """

    def __init__(self, disk: Callable[[], Disk], quota: Quota, length: int) -> None:
        self._disk = disk
        before = disk()
        if length > SMALL_DELIVERY:
            self._least = max(before.floor + AT_A_TIME * SMALL_DELIVERY, before.reserve(quota) // 4)
        elif before.free - length >= before.floor:
            self._least = before.floor
        else:
            self._least = before.floor // 2

    def leave(self, more: int) -> None:
        """Refusal ``full`` when ``more`` bytes would not leave it."""
        if self._disk().free - more < self._least:
            raise Refusal("full", _NO_ROOM)
