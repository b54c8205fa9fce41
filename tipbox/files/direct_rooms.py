"""The same as ``DirectFile`` for who makes what is written in the very memory that the disk takes it from.

A room lies in its pages as its bytes will lie in those of the file, so nothing is copied but the few bytes of the page
that two rooms share: it is written with the second.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self, cast

from tipbox.files.direct import pass_the_cache, write_at

_PAGE: Final = mmap.PAGESIZE
_TOGETHER: Final = 4
"""Rooms that the disk is given at a time: threads wait for one another less often."""
_WAITING: Final = 2
"""Times that so many are given while the disk still takes what was given before."""
_LARGE: Final = 512 << 10
"""Bytes of a room that is worth the disk's asking for it: small files go through the cache."""
_SYNC_EVERY: Final = 32 << 20
"""Bytes, where all goes through the cache: else the sync at the end waits for gigabytes that lie there."""


class DirectRooms:
    """Writes a new and empty file from its start. When the block ends well all is written; the caller syncs the file.

    A thread waits for the disk. Its error comes up at a later ``give``, or at the end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._disk = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        self._full: list[memoryview] = []
        self._full_at = 0
        self._free: list[mmap.mmap] = []
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

    def put(self, data: bytes) -> None:
        """Write what comes next and was made elsewhere."""
        room = self.room(self._at, len(data))
        room[:] = data
        self.give(room)

    def give(self, room: memoryview) -> None:
        """Write what is in a room, which is for what comes next; waits while the disk is behind."""
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
