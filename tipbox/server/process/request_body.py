"""A request's body as it comes over the connection: never slower than a least pace, and counted by its circuit.

A body that trickles holds a place in a queue, room on the disk and a connection. The pace is asked of every body,
whoever reads it; a courier's delivery has a faster one of its own (bundles/delivery.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from gunicorn.http.body import LengthReader

from tipbox.formats.base.limits import KIB
from tipbox.server.process.circuits import Share
from tipbox.server.process.heads import RECEIVE
from tipbox.server.refusal import Refusal

LEAST_PACE: Final = 512
"""Bytes a second of a body: less than a quarter of the 2,200 that a phone at 20 kbit/s has left of Tor's cells."""
GRACE_SECONDS: Final = 180
"""For which a body may be behind that: sixty round trips of three seconds. It is had again by what comes faster."""

FEW: Final = 8 * KIB
"""Bytes that are asked for at once of a source that sends slowly; of one that fills them, RECEIVE from then on. Memory
is taken, and overwritten when it is given back (run.py), for all that is asked for, however little comes."""

Within = Callable[[float, Callable[[int], bytes], int], bytes | None]
_LEAST_WAIT: Final = 0.001
"""Seconds: with none at all a socket does not wait, and says something else."""


class Body:
    """A request's body that reads as many bytes as it is asked for; gunicorn's own waits for 1,024 at least.

    What is read by ``read1`` is not copied on its way, as what lies behind the bytes that ``read`` gives. A body whose
    length was not announced has no bytes: nothing here takes one.

    Args:
        reader: gunicorn's.
        share: what the request holds of its circuit's bytes in flight.
        clock: seconds that never go back.
        within: how to wait for no longer than so many seconds: ``function(size)``, or None when it takes longer.
    """

    def __init__(
        self, reader: Any, share: Share, *, clock: Callable[[], float] = time.monotonic, within: Within | None = None
    ) -> None:
        self._reader = reader if isinstance(reader, LengthReader) else None
        self._share = share
        self._clock = clock
        self._within = within or self._within_connection
        self._left = float(GRACE_SECONDS)
        self._most = FEW

    def read(self, size: int) -> bytes:
        """``size`` bytes, or fewer at the end.

        Raises:
            Refusal: ``slow-down``: the circuit has too many bytes in flight, or they come too slowly.
        """
        piece = self.read1(size)
        if len(piece) == size:
            return piece
        data = bytearray(piece)  # not a list: of bytes that come one by one, it would hold fifty times as many
        while len(data) < size and (piece := self.read1(size - len(data))):
            data += piece
        return bytes(data)

    def read1(self, size: int) -> bytes:
        """What is there, or comes next: 1 to ``size`` bytes, none at the end; Refusal as ``read``."""
        if self._reader is None or not (size := min(size, self._reader.length, self._most)):
            return b""
        begun = self._clock()
        data = self._within(self._left, self._next, size)
        if data is None:
            raise Refusal("slow-down")
        # Only what was waited for here counts: a slow disk, or a queue, is not the sender's.
        left = self._left - (self._clock() - begun) + len(data) / LEAST_PACE
        self._left = min(GRACE_SECONDS, left)
        if len(data) == size >= FEW:
            self._most = RECEIVE
        elif len(data) <= FEW:
            self._most = FEW
        self._share.take(len(data))
        return data

    def _within_connection(self, seconds: float, function: Callable[[int], bytes], size: int) -> bytes | None:
        """By the time that the connection waits for, which it measures anyway: another timer costs memory of each."""
        connection: Any = self._reader.unreader.sock  # type: ignore[union-attr]
        most = connection.gettimeout()
        connection.settimeout(max(seconds, _LEAST_WAIT))
        try:
            return function(size)
        except TimeoutError:
            return None
        finally:
            connection.settimeout(most)

    def _next(self, size: int) -> bytes:
        reader: Any = self._reader
        data: bytes = reader.unreader.read(read_ahead=size)
        if len(data) > size:  # the next request is there already
            reader.unreader.unread(data[size:])
            data = data[:size]
        reader.length -= len(data)
        return data
