"""Counts of requests in a worker's memory, for Flask-Limiter.

Not that of the ``limits`` package: its timer walks all counts up to a hundred times a second, on the worker's loop, so
that whoever has some thousand circuits could stop a worker. Here a count that has run out is begun anew when it is
asked for, and all of those are dropped when the worker forgets what requests left.
"""

from __future__ import annotations

import time
from typing import Any, Final

from limits.storage import Storage

SCHEME: Final = "tipbox"
"""Of an address that means them."""


class Counts(Storage):
    """Fixed windows: each key has a count, and the second (since 1970) at which it ends."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 (as the base class has it)

    def __init__(self, uri: str | None = None, **options: Any) -> None:
        super().__init__(uri, **options)
        self._counts: dict[str, tuple[int, float]] = {}

    def __contains__(self, key: str) -> bool:
        """Whether anything of a key is kept."""
        return key in self._counts

    @property
    def base_exceptions(self) -> type[Exception]:
        """Errors of the storage: memory has none."""
        return MemoryError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count ``amount`` more; a new count ends in ``expiry`` seconds."""
        now = time.time()
        count, end = self._counts.get(key, (0, 0.0))
        if end <= now:
            count, end = 0, now + expiry
        self._counts[key] = count + amount, end
        return count + amount

    def get(self, key: str) -> int:
        """The count, 0 where it has run out."""
        count, end = self._counts.get(key, (0, 0.0))
        return count if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the count ends; now where there is none."""
        return self._counts.get(key, (0, time.time()))[1]

    def check(self) -> bool:
        """It is always there."""
        return True

    def reset(self) -> int:
        """Drop all counts; how many."""
        count = len(self._counts)
        self._counts.clear()
        return count

    def clear(self, key: str) -> None:
        """Drop a count."""
        self._counts.pop(key, None)

    def forget(self) -> None:
        """Drop what has run out: keys are names of circuits."""
        now = time.time()
        self._counts = {key: count for key, count in self._counts.items() if count[1] > now}
