"""Who may open an upload by the form that needs no script: nobody there can do work, so a small bucket decides.

It is the form's own: a flood through it takes nothing from those who come by the pages, and a flood there leaves it as
it is. An upload that was opened goes on without asking here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tipbox.formats.base import padding
from tipbox.formats.envelopes.header import Header
from tipbox.server.config import Config, Plain
from tipbox.server.refusal import Refusal
from tipbox.server.storage.executors import Threads
from tipbox.server.uploads.buckets import BEGIN
from tipbox.server.uploads.cells import FREE_DOOR, Cells
from tipbox.server.uploads.gate import Admission, Clocks, Gate, Looks, Payment

_HOUR: Final = 3600
_CELLS: Final = 3  # of a bucket: whether it was begun, its level, and the second of that


class FreeDoor:
    """Two buckets, of openings and of announced bytes, one for all workers."""

    def __init__(self, plain: Plain, cells: Cells, now: Callable[[], float] = time.monotonic) -> None:
        self._cells = cells
        self._now = now
        self._buckets = (
            (float(plain.openings_burst), plain.openings_per_hour / _HOUR),
            (float(plain.bytes_burst), plain.bytes_per_hour / _HOUR),
        )

    def take(self, size: int) -> bool:
        """Take an opening of ``size`` announced bytes; whether there was room for it."""
        with self._cells.alone() as cells:
            levels = self._levels(cells)
            if levels[0] < 1 or levels[1] < size:
                return False
            self._change(cells, -1, -size)
            return True

    def give_back(self, size: int) -> None:
        """Put back what was taken for an opening of which nothing was kept."""
        with self._cells.alone() as cells:
            self._change(cells, 1, size)

    def _change(self, cells: memoryview[float], openings: int, size: int) -> None:
        for place, (change, (capacity, _)) in enumerate(zip((openings, size), self._buckets, strict=True)):
            at = FREE_DOOR + place * _CELLS + 1
            cells[at] = min(capacity, cells[at] + change)

    def _levels(self, cells: memoryview[float]) -> list[float]:
        """Fill the buckets up to this moment; their levels."""
        now = self._now()
        levels: list[float] = []
        for place, (capacity, per_second) in enumerate(self._buckets):
            at = FREE_DOOR + place * _CELLS
            begun, level, second = cells[at : at + _CELLS]
            level = min(capacity, level + (now - second) * per_second) if begun else capacity * BEGIN
            cells[at], cells[at + 1], cells[at + 2] = 1.0, level, now
            levels.append(level)
        return levels


class PlainGate(Gate):
    """Lets openings in without a price: see Gate."""

    def __init__(
        self, config: Config, threads: Threads, cells: Cells | None = None, clocks: Clocks | None = None
    ) -> None:
        cells, clocks = cells or Cells(), clocks or Clocks()
        super().__init__(config, threads, cells, clocks)
        self._door = FreeDoor(config.plain, cells, clocks.now)

    @contextmanager
    def admitted(self, token: bytes, header: Header, payment: Payment, room: int, looks: Looks) -> Iterator[Admission]:
        """See Gate.

        Raises:
            Refusal: ``slow-down``: the circuit, or all together, have opened enough for now; what ``looks`` raise.
        """
        del token, room  # nothing is proven here, and what fits is looked at below
        admission = Admission()
        if looks.is_known():
            yield admission
            return
        counted = payment.circuit if payment.by_tor else ""
        size = header.sealed_letter_size + padding.sealed_body_size(header.body_size)
        if not self.openings.take(counted):
            raise Refusal("slow-down")
        try:
            looks.must_fit()
            if not self._door.take(size):
                raise Refusal("slow-down")
            try:
                yield admission
            finally:
                if not admission.used:
                    self._door.give_back(size)
        finally:
            if not admission.used:
                self.openings.give_back(counted)
