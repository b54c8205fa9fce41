"""Few openings in the life of a circuit: whoever wants many needs many circuits, and Tor's proof of work prices those.

Counts lie in a table that the workers share, and that names nobody: a circuit adds to four places of it, chosen by a
keyed hash, and has opened at most as often as the lowest of them says. All counts go down by one every STEP seconds, so
nothing in the table is older than that times the highest of them, and nothing says when it came.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Final

from tipbox.server.uploads.cells import OPENINGS_STEP, TABLE_SIZE, Cells

STEP: Final = 600
"""Seconds after which a circuit gets one opening back: a visit may be long, and is one circuit in Tor Browser."""
_ROWS: Final = 4
_WIDTH: Final = TABLE_SIZE // _ROWS
_PLACES: Final = struct.Struct(f"{_ROWS}H")  # a u16 reaches each place of a row
_HIGHEST: Final = 255
UNCOUNTED: Final = 250
"""From so many on, openings are not counted: a place of the table is one byte."""


class Openings:
    """The openings that circuits have left.

    Args:
        cells: memory that all workers share.
        most: of one circuit at once.
        now: seconds of a clock that all workers share and that never goes back.
    """

    def __init__(self, cells: Cells, most: int, now: Callable[[], float]) -> None:
        self._cells = cells
        self._most = most
        self._now = now

    def take(self, circuit: str) -> bool:
        """Take one; whether there was one. The empty circuit has as many as it asks for."""
        if not circuit or self._most >= UNCOUNTED:
            return True
        places = self._places(circuit)
        with self._cells.alone() as cells:
            self._age(cells)
            table = self._cells.table
            if min(table[place] for place in places) >= self._most:
                return False
            for place in places:
                table[place] = min(_HIGHEST, table[place] + 1)
            return True

    def give_back(self, circuit: str) -> None:
        """Give back one of which nothing came."""
        if not circuit or self._most >= UNCOUNTED:
            return
        with self._cells.alone() as cells:
            self._age(cells)
            for place in self._places(circuit):
                self._cells.table[place] = max(0, self._cells.table[place] - 1)

    def forget(self) -> None:
        """Let time pass for the table, when nobody opens anything."""
        with self._cells.alone() as cells:
            self._age(cells)

    def _places(self, circuit: str) -> list[int]:
        digest = hashlib.blake2b(circuit.encode(), digest_size=_PLACES.size, key=self._cells.key, person=b"openings")
        return [row * _WIDTH + column for row, column in enumerate(_PLACES.unpack(digest.digest()))]

    def _age(self, cells: memoryview[float]) -> None:
        step = self._now() // STEP
        passed = min(_HIGHEST, int(step - cells[OPENINGS_STEP]))
        if passed:
            cells[OPENINGS_STEP] = step
            fewer = bytes(max(0, count - passed) for count in range(_HIGHEST + 1))
            self._cells.table[:] = self._cells.table[:].translate(fewer)
