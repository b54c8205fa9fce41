"""Large files that are durable in the end, written past the kernel's cache: the disk takes them while more is made.

Through the cache a gibibyte costs more of the processor than sealing it does, and the sync at the end waits for much
of it. The disk gets whole blocks from memory that begins at a page, as it asks for.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

_BLOCK: Final = 4 << 20
"""Bytes that the disk is given at a time."""
_BLOCKS: Final = 3
"""One that the disk takes, one that waits for it, and one that is being filled."""
_CACHED: Final = 512 << 10
"""Bytes of a write through the cache: for more the kernel looks for larger pages than a busy machine has."""
_SYNC_EVERY: Final = 8
"""Blocks, where all goes through the cache: else the sync at the end waits for gigabytes that lie there."""


class DirectFile:
    """Writes a new and empty file from its start. When the block ends well all is written; the caller syncs the file.

    A thread waits for the disk. Its error comes up at a later ``write``, or at the end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._disk = ThreadPoolExecutor(1)
        self._waiting: deque[tuple[Future[None], mmap.mmap]] = deque()
        self._block = mmap.mmap(-1, _BLOCK)
        self._filled = 0
        self._given = 0
        self._direct = False

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

    def write(self, batch: Iterable[bytes | memoryview]) -> None:
        """Write a batch; waits while the disk is behind."""
        for data in batch:
            self.write_one(data)

    def write_one(self, data: bytes | memoryview) -> None:
        """Write what comes next; waits while the disk is behind."""
        left = memoryview(data)
        while left:
            taken = left[: _BLOCK - self._filled]
            self._block[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            left = left[len(taken) :]
            if self._filled == _BLOCK:
                self._give()

    def _give(self) -> None:
        """Give the disk the block that is full, and begin another."""
        first = self._given == 0
        self._given += 1
        sync = self._given % _SYNC_EVERY == 0
        self._waiting.append((self._disk.submit(self._put, self._block, first=first, sync=sync), self._block))
        if len(self._waiting) < _BLOCKS:
            self._block = mmap.mmap(-1, _BLOCK)
        else:
            written, self._block = self._waiting.popleft()
            written.result()
        self._filled = 0

    def _end(self) -> None:
        for written, _ in self._waiting:
            written.result()
        self._pass_the_cache(wanted=False)  # what is left is no whole block
        self._write(memoryview(self._block)[: self._filled])

    def _put(self, block: mmap.mmap, *, first: bool, sync: bool) -> None:
        if first:
            self._pass_the_cache(wanted=True)
        self._write(memoryview(block))
        if sync and not self._direct:
            os.fdatasync(self._descriptor)

    def _write(self, data: memoryview) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data if self._direct else data[:_CACHED]) :]
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                self._pass_the_cache(wanted=False)  # the disk wants larger blocks, or other memory

    def _pass_the_cache(self, *, wanted: bool) -> None:
        self._direct = pass_the_cache(self._descriptor, wanted=wanted)


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
