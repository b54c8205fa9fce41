"""The disk that HOME lies on: how much is free, and how much of that is left to texts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tipbox.server.config import LARGEST_RESERVE, SMALL_FREE, Quota

_TINY_DISK: Final = 20
"""A small disk keeps free one in this many of its bytes: SMALL_FREE could be most of it."""


@dataclass(frozen=True)
class Disk:
    """Bytes of the disk that HOME lies on. ``holds_bodies`` is False when they go to S3."""

    total: int
    free: int
    holds_bodies: bool

    @classmethod
    def of(cls, home: Path, *, holds_bodies: bool) -> Disk:
        """The disk of ``home``, now."""
        usage = shutil.disk_usage(home)
        return cls(usage.total, usage.free, holds_bodies)

    @property
    def floor(self) -> int:
        """Bytes below which nothing is taken in."""
        return min(SMALL_FREE, self.total // _TINY_DISK)

    def reserve(self, quota: Quota) -> int:
        """Bytes that bodies leave to Envelopes without one."""
        # A share, because a fixed number would be all of a small disk; bounded, because texts need no more.
        return min(LARGEST_RESERVE, self.total * quota.reserve_percent // 100)

    def kept_from_bodies(self, quota: Quota) -> int:
        """Bytes that parts of bodies leave free: the reserve, unless they only pass through on their way to S3."""
        return max(self.floor, self.reserve(quota)) if self.holds_bodies else self.floor
