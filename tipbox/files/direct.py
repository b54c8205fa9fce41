"""Large files that are durable in the end, written past the kernel's cache: the disk takes them while more is made.

Through the cache a gibibyte costs more of the processor than sealing it does, and the sync at the end waits for much
of it. The disk gets whole pages from memory that begins at one, as it asks for: a room lies in its pages as its bytes
will lie in those of the file, so of what is made in a room nothing is copied but the few bytes of the page that two
rooms share, which is written with the second.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self, cast

_PAGE: Final = mmap.PAGESIZE
_GATHERED: Final = 1 << 20
"""Bytes of the room into which what was made elsewhere is copied."""
_TOGETHER: Final = 4
"""Rooms that the disk is given at a time: threads wait for one another less often."""
_WAITING: Final = 2
"""Times that so many are given while the disk still takes what was given before."""
_LARGE: Final = 512 << 10
"""Bytes of a room that is worth the disk's asking for it: small files go through the cache."""
_SYNC_EVERY: Final = 32 << 20
"""Bytes, where all goes through the cache: else the sync at the end waits for gigabytes that lie there."""
_CACHED: Final = 512 << 10
"""Bytes of a write through the cache: for more the kernel looks for larger pages than a busy machine has."""


class DirectFile:
    """Writes a new and empty file from its start. When the block ends well all is written; the caller syncs the file.

    A thread waits for the disk. Its error comes up at a later ``give`` or ``put``, or at the end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._disk = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        self._full: list[memoryview] = []
        self._full_at = 0
        self._free: list[mmap.mmap] = []
        self._gathered: memoryview | None = None
        self._filled = 0
        self._rest = b""  # of the page that is not full yet
        self._at = 0
        self._asked = False
        self._direct = False
        self._unsynced = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._end()
        finally:
            self._disk.shutdown(cancel_futures=True)

    def room(self, at: int, size: int) -> memoryview:
        """Room for the file's bytes from ``at`` on, so many, to be given in their order. Any thread may ask for it."""
        begin = _PAGE + at % _PAGE  # the page before is for what the room before leaves
        try:
            pages = self._free.pop()
        except IndexError:
            pages = mmap.mmap(-1, begin + size + _PAGE)
        if len(pages) < begin + size:
            pages = mmap.mmap(-1, begin + size + _PAGE)
        return memoryview(pages)[begin : begin + size]

    def put(self, data: bytes | memoryview) -> None:
        """Write what comes next and was made elsewhere; waits while the disk is behind."""
        left = memoryview(data)
        while left:
            if self._gathered is None:
                self._gathered, self._filled = self.room(self._at, _GATHERED), 0
            taken = left[: _GATHERED - self._filled]
            self._gathered[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            left = left[len(taken) :]
            if self._filled == _GATHERED:
                self._give_gathered()

    def give(self, room: memoryview) -> None:
        """Write what is in a room, which is for what comes next; waits while the disk is behind."""
        self._give_gathered()
        self._give(room)

    def _give_gathered(self) -> None:
        if self._gathered is not None:
            room, self._gathered = self._gathered[: self._filled], None
            self._give(room)

    def _give(self, room: memoryview) -> None:
        pages = cast("mmap.mmap", room.obj)
        end = _PAGE + len(self._rest) + len(room)
        whole = end - end % _PAGE
        pages[_PAGE : _PAGE + len(self._rest)] = self._rest
        begin = self._at - len(self._rest)
        if not self._full:
            self._full_at = begin
        self._full.append(memoryview(pages)[_PAGE:whole])
        self._at += len(room)
        self._rest = pages[whole:end]
        if len(self._full) == _TOGETHER:
            self._hand_over()
            if len(self._waiting) > _WAITING:
                self._waiting.popleft().result()

    def _hand_over(self) -> None:
        self._waiting.append(self._disk.submit(self._put, self._full, self._full_at))
        self._full = []

    def _end(self) -> None:
        self._give_gathered()
        self._hand_over()
        for written in self._waiting:
            written.result()
        self._direct = pass_the_cache(self._descriptor, wanted=False)  # what is left is no whole page
        write_at(self._descriptor, memoryview(self._rest), self._at - len(self._rest))

    def _put(self, full: list[memoryview], at: int) -> None:
        pages = [cast("mmap.mmap", room.obj) for room in full]
        size = sum(map(len, full))
        if not self._asked and size >= _LARGE:
            self._asked, self._direct = True, pass_the_cache(self._descriptor, wanted=True)
        while self._direct and size:
            try:
                written = os.pwritev(self._descriptor, full, at)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._direct = pass_the_cache(self._descriptor, wanted=False)  # it wants larger blocks, or other memory
            else:
                size, at = size - written, at + written
                while full and written >= len(full[0]):
                    written -= len(full.pop(0))
                if written:
                    full[0] = full[0][written:]
        for room in full:
            write_at(self._descriptor, room, at)
            at += len(room)
        self._unsynced += size
        if self._unsynced >= _SYNC_EVERY:
            os.fdatasync(self._descriptor)
            self._unsynced = 0
        self._free += pages


def pass_the_cache(descriptor: int, *, wanted: bool) -> bool:
    """Have the disk take what is written to a file at once, or no longer; whether it does."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT if wanted else flags & ~os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL or not wanted:
            raise
        return False  # a file system that lives in memory, as a rule
    return wanted


def write_at(descriptor: int, data: memoryview, at: int) -> None:
    """Write all of ``data`` from byte ``at`` of a file on: through the cache, for what need not be durable."""
    while data:
        written = os.pwrite(descriptor, data[:_CACHED], at)
        data = data[written:]
        at += written
