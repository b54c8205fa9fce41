"""What the workers of a server share in memory, and no disk sees: levels, counts, what seeds and names come from."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import secrets
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

TABLE_SIZE: Final = 4 * 2**16
"""Bytes of the table that counts openings (openings.py)."""

SECRET_SIZE: Final = 32
OPENINGS_STEP: Final = -1
"""Among the numbers: the step to which the table of openings has been brought."""
NAMED: Final = -2
"""Among the numbers: the second when a worker last knew a circuit by its name (process/circuits.py)."""


class Cells:
    """Memory for the levels of the buckets: made by a master before it forks, it is one for all of its workers.

    ``key``: 32 bytes from which the seeds of the toll are made, new at each start. ``table``: counts of openings.
    ``secret``: 32 bytes from which circuits are named; those who change or use it hold the numbers ``alone``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.key = secrets.token_bytes(32)
        self.table = mmap.mmap(-1, TABLE_SIZE)
        self.secret = memoryview(mmap.mmap(-1, SECRET_SIZE))
        self.secret[:] = secrets.token_bytes(SECRET_SIZE)
        self._memory = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("d")
        self._lock: int | None = None
        self._held: set[bytes] = set()
        if folder is not None:
            # Nameless and empty: only its lock is used, which the kernel takes from a worker that dies.
            with tempfile.TemporaryFile(dir=folder) as file:
                self._lock = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._lock)

    @contextmanager
    def alone(self) -> Iterator[memoryview[float]]:
        """The numbers, while no other worker changes them."""
        if self._lock is None:
            yield self._memory
            return
        fcntl.lockf(self._lock, fcntl.LOCK_EX, 1)
        try:
            yield self._memory
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN, 1)

    @contextmanager
    def once(self, token: bytes) -> Iterator[bool]:
        """Hold a token (its SHA-256), unless a request of this worker or of another one holds it; whether it is held.

        Workers see each other's by locks on bytes behind the first one: the kernel takes them from a worker that dies.
        """
        place = 1 + int.from_bytes(hashlib.blake2b(token, digest_size=8, key=self.key, person=b"once").digest()) // 4
        held = token not in self._held
        if held and self._lock is not None:
            try:
                fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError as error:
                if error.errno not in {errno.EACCES, errno.EAGAIN}:
                    raise
                held = False
        if not held:
            yield False
            return
        self._held.add(token)
        try:
            yield True
        finally:
            self._held.remove(token)
            if self._lock is not None:
                fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, place)
