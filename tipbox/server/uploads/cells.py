"""What the workers of a server share in memory, and no disk sees: levels, counts, what seeds and names come from."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import secrets
import struct
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TABLE_SIZE: Final = 4 * 2**16
"""Bytes of the table that counts openings (openings.py)."""

SECRET_SIZE: Final = 32
OPENINGS_STEP: Final = -1
"""Among the numbers: the step to which the table of openings has been brought."""
FREE_DOOR: Final = 64
"""Among the numbers: from here on, the levels of what opens uploads without a price (plain/plain_gate.py)."""
NAMED: Final = -2
"""Among the numbers: the second when a worker last knew a circuit by its name (process/circuits.py)."""
_PLACES: Final = 2**61
"""Bytes behind the first one that are locked for those who hold a token, and as many for those who wait for one."""
_FLOCK: Final = struct.Struct("hhqqi0q")
"""The kernel's ``struct flock``, of 64 bits."""


@dataclass(frozen=True)
class Held:
    """A token that a request holds."""

    is_wanted: Callable[[], bool]
    """Whether a newer request, of any worker, waits for it."""
    was_passed_on: bool
    """Whether another request held it when this one came."""


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
        self._wanted: set[bytes] = set()
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
    def once(self, token: bytes, wait: Callable[[], bool] = bool) -> Iterator[Held | None]:
        """Hold a token (its SHA-256): only one request of all workers does. None when it could not be had.

        Workers see each other's by locks on bytes behind the first one: the kernel takes them from a worker that dies.

        Args:
            token: what is held.
            wait: called as long as another request holds it: waits a little, and says whether to try again. Of all who
                want the same one may wait.
        """
        digest = hashlib.blake2b(token, digest_size=8, key=self.key, person=b"once").digest()
        place = 1 + int.from_bytes(digest) % _PLACES
        was_free = self._take(self._held, token, place)
        if not (was_free or self._wait(token, place, wait)):
            yield None
            return
        try:
            yield Held(lambda: token in self._wanted or self._is_locked(place + _PLACES), was_passed_on=not was_free)
        finally:
            self._let_go(self._held, token, place)

    def _wait(self, token: bytes, place: int, wait: Callable[[], bool]) -> bool:
        """Want a token, and take it once it is let go; whether it was taken."""
        if not self._take(self._wanted, token, place + _PLACES):
            return False
        try:
            while wait():
                if self._take(self._held, token, place):
                    return True
            return False
        finally:
            self._let_go(self._wanted, token, place + _PLACES)

    def _take(self, taken: set[bytes], token: bytes, place: int) -> bool:
        if token in taken:
            return False
        if self._lock is not None:
            try:
                fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError as error:
                if error.errno not in {errno.EACCES, errno.EAGAIN}:
                    raise
                return False
        taken.add(token)
        return True

    def _let_go(self, taken: set[bytes], token: bytes, place: int) -> None:
        taken.remove(token)
        if self._lock is not None:
            fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, place)

    def _is_locked(self, place: int) -> bool:
        """Whether another process holds a lock on this byte; nothing is changed by asking."""
        if self._lock is None:
            return False
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
        found: int = _FLOCK.unpack(fcntl.fcntl(self._lock, fcntl.F_GETLK, asked))[0]
        return found != fcntl.F_UNLCK
