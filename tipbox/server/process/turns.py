"""In which order requests are parsed and answered: those first whose circuits asked for least in the last seconds.

To parse and answer takes about a millisecond of a worker's loop. Were all that are ready served in rounds, one visitor
would wait for some rounds of all requests of all others, and whoever has hundreds of circuits makes a round long.
"""

from __future__ import annotations

import heapq
import itertools
import os
import time
from typing import Final

import gevent
from gevent.event import Event

PATIENCE: Final = 60.0
"""Seconds for which those who come later may go before one whose circuit asked for a second more than theirs. Without
an end, many circuits that ask for little each would hold up an upload for as long as they come."""


class Turns:
    """Those of a worker that are ready: one begins at a time, and then all others may show that they are ready too.

    ``patience``: see PATIENCE.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._ready: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._somebody = Event()
        self._begun = False

    def wait(self, asked: float) -> None:
        """Wait until it is this one's turn.

        Args:
            asked: seconds' worth of turns that its circuit has asked for lately; among equals who came first is first.
        """
        if not self._begun:  # only in a worker, when its loop runs
            self._begun = True
            gevent.spawn(self._let_begin)
        mine = Event()
        heapq.heappush(self._ready, (time.monotonic() + self._patience * asked, next(self._order), mine))
        self._somebody.set()
        mine.wait()

    def _let_begin(self) -> None:
        hub = gevent.get_hub()
        always = hub.loop.io(os.eventfd(1), 1)
        while True:
            self._somebody.wait()
            self._somebody.clear()
            while self._ready:
                heapq.heappop(self._ready)[-1].set()
                # The one whose turn it is goes on until it waits. Then the loop looks at all connections: with sleep(0)
                # it does so after fifty requests only, and so long a new one would wait for each of its steps.
                hub.wait(always)
