"""Token buckets: how much may come in, without a day at whose end everything begins anew.

A bucket fills evenly up to its capacity, and what comes in takes out of it. The emptier it is, the dearer is the next
opening (price.py): nothing is shut at a number. Levels lie in memory that the workers share and on no disk, so a seized
one shows nothing of when what came.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tipbox.formats.base import padding
from tipbox.formats.base.limits import KIB, MAX_LETTER
from tipbox.formats.envelopes.header import Header
from tipbox.server.config import LONG_LETTER, MB, Quota
from tipbox.server.uploads.cells import Cells

BEGIN: Final = 0.75
"""Of its capacity, what a bucket holds at a start: nobody pays then, and a restart in a flood gives little away."""
DAY: Final = 24 * 3600
DAILY_SHARE: Final = 4
"""Files of one part in this many of what couriers can carry may come in a day."""
STEPS: Final = 4096
"""One in this many of the bucket for announced bytes may be taken on credit, so that small files wait for seconds."""
TEXT_BYTES: Final = 32 * KIB
"""What a common letter takes of the disk, with a header of about eight slots and the rows around it."""
UNIT: Final = 64 * MB
"""Announced bytes below a half of their bucket that cost as much as one opening; more cost more, in proportion."""
LEVELS: Final = 16
"""Levels of the bucket for announced bytes that answers tell apart."""
SOON: Final = 600
"""Seconds for which a source may be asked to wait before it is told that there is no room."""
_LETTERS, _LONG, _DRAFTS, _ANNOUNCED = range(4)
_CELLS: Final = 3  # of a bucket: whether it was begun, its level, and the second of that


@dataclass(frozen=True)
class Bucket:
    """What a bucket holds at most, what it gains a second, and how far below zero one opening may bring it."""

    capacity: float
    per_second: float
    credit: float = 0.0


@dataclass(frozen=True)
class Charge:
    """What an opening takes: of letters (1 for an Envelope without files), drafts (1 with files), and bytes of each."""

    letters: int
    long_bytes: int
    drafts: int
    announced: int

    @classmethod
    def of(cls, header: Header) -> Charge:
        """What the opening of an Envelope takes."""
        has_files = header.body_size > 0
        return cls(
            letters=int(not has_files),
            long_bytes=header.letter_size if header.letter_size > LONG_LETTER else 0,
            drafts=int(has_files),
            announced=padding.sealed_body_size(header.body_size) if has_files else 0,
        )

    @property
    def takes(self) -> tuple[int, int, int, int]:
        """In the order of the buckets."""
        return self.letters, self.long_bytes, self.drafts, self.announced


class Buckets:
    """The buckets of a server.

    Args:
        quota: the configured rates.
        cells: where the levels lie; memory of its own by default.
        now: seconds of a clock that all workers share and that never goes back.
    """

    def __init__(self, quota: Quota, cells: Cells | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._cells = cells or Cells()
        self._now = now
        drafts, announced = max(1, quota.drafts // 2), max(1, quota.carry_capacity // DAILY_SHARE)
        self._buckets = (
            Bucket(quota.letters_burst, quota.letters_per_second),
            Bucket(quota.long_letter_bytes, quota.long_letter_bytes_per_second, credit=MAX_LETTER),
            Bucket(drafts, drafts / DAY),
            Bucket(announced, announced / DAY, announced / STEPS),
        )
        self._day_of_texts = max(1, quota.letters_per_second * DAY * TEXT_BYTES)

    def now(self) -> float:
        """Seconds of the clock."""
        return self._now()

    def fills(self, room: int, charge: Charge | None = None) -> tuple[float, float, float]:
        """How full it is for letters, for long ones, and for files, 0 to 1; behind a charge, where one is named.

        Args:
            room: bytes of disk that texts may still take.
            charge: what would be taken before.
        """
        takes = charge.takes if charge else (0, 0, 0, 0)
        with self._cells.alone() as cells:
            levels = self._levels(cells, room)
        if charge:
            # Coarse: else whoever asks for many sizes would read from the answers what others announced.
            levels[_ANNOUNCED] = self._coarse(levels[_ANNOUNCED], math.ceil)
        fills = [
            min(1.0, max(0.0, (level - take) / bucket.capacity))
            for level, take, bucket in zip(levels, takes, self._buckets, strict=True)
        ]
        return fills[_LETTERS], min(fills[_LETTERS], fills[_LONG]), min(fills[_DRAFTS], fills[_ANNOUNCED])

    def fits_soon(self, charge: Charge) -> bool:
        """Whether waiting makes sense: the bucket for announced bytes may have this many in SOON seconds."""
        bucket = self._buckets[_ANNOUNCED]
        if charge.announced <= bucket.credit:
            return True
        with self._cells.alone() as cells:
            level = self._coarse(cells[_ANNOUNCED * _CELLS + 1], math.floor)
        return charge.announced <= min(bucket.capacity, level + SOON * bucket.per_second)

    def dear(self, charge: Charge) -> float:
        """How many times an opening's price it costs to announce this much: at least once."""
        bucket = self._buckets[_ANNOUNCED]
        with self._cells.alone() as cells:
            level = self._coarse(cells[_ANNOUNCED * _CELLS + 1], math.ceil)
        below = min(charge.announced, bucket.capacity / 2 - (level - charge.announced))
        return max(1.0, below / UNIT)

    def take(self, charge: Charge, room: int) -> bool:
        """Take it from all buckets, or from none; whether it was taken."""
        with self._cells.alone() as cells:
            levels = self._levels(cells, room)
            if not all(
                not take or take <= level or (level > 0 and take <= bucket.credit)
                for take, level, bucket in zip(charge.takes, levels, self._buckets, strict=True)
            ):
                return False
            for place, take in enumerate(charge.takes):
                cells[place * _CELLS + 1] -= take
            return True

    def give_back(self, charge: Charge) -> None:
        """Put back what was taken for an opening of which nothing was kept."""
        with self._cells.alone() as cells:
            for place, (take, bucket) in enumerate(zip(charge.takes, self._buckets, strict=True)):
                cells[place * _CELLS + 1] = min(bucket.capacity, cells[place * _CELLS + 1] + take)

    def _coarse(self, level: float, to_whole: Callable[[float], int]) -> float:
        """A level of the bucket for announced bytes as it is told to those who ask."""
        step = self._buckets[_ANNOUNCED].capacity / LEVELS
        return to_whole(level / step) * step

    def _levels(self, cells: memoryview[float], room: int) -> list[float]:
        """Fill the buckets up to this moment; their levels."""
        now = self._now()
        levels: list[float] = []
        for place, bucket in enumerate(self._buckets):
            begun, level, second = cells[place * _CELLS : (place + 1) * _CELLS]
            # Texts fill up as slowly as the disk is full: a flood comes ever nearer to its end, and never there.
            pace = min(1.0, max(0, room) / self._day_of_texts) if place in (_LETTERS, _LONG) else 1.0
            if not begun:
                level, second = bucket.capacity * BEGIN, now
            level = min(bucket.capacity, level + (now - second) * bucket.per_second * pace)
            cells[place * _CELLS], cells[place * _CELLS + 1], cells[place * _CELLS + 2] = 1.0, level, now
            levels.append(level)
        return levels
