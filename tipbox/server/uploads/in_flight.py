"""Bytes that have come of requests that are not complete yet: what hostile clients hold of the disk has a bound.

What counts is what has come, not what was announced: to keep others out, somebody has to send it all. They hold it for
no longer than the least pace of bodies allows (process/request_body.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tipbox.server.refusal import Refusal


class InFlight:
    """All requests of one kind in a worker."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    @contextmanager
    def request(self) -> Iterator[Share]:
        """What one request holds, until it ends."""
        share = Share(self)
        try:
            yield share
        finally:
            self._held -= share.held

    def take(self, size: int) -> None:
        """Hold ``size`` bytes more; Refusal ``slow-down`` when they are too many."""
        # The first may always go on: with a bound below one request, nobody could send anything.
        if self._held and self._held + size > self._most:
            raise Refusal("slow-down")
        self._held += size


class Share:
    """What one request holds."""

    def __init__(self, all_of_them: InFlight) -> None:
        self._all = all_of_them
        self.held = 0

    def take(self, size: int) -> None:
        """``size`` more bytes have come; Refusal ``slow-down`` when all requests together hold too many."""
        self._all.take(size)
        self.held += size
