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

_MANY_LEFT: Final = 256
"""Of those that left: so few are not looked for among those that wait."""
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
        self._left = 0

    def __len__(self) -> int:
        """How many are kept, those that left and were not passed over yet among them."""
        return len(self._ready)

    def place(self, asked: float) -> Event:
        """A place among those that are ready: set when it is this one's turn.

        Who sets it before leaves, and says so by ``leave``.

        Args:
            asked: seconds' worth of turns that its circuit has asked for lately; among equals who came first is first.
        """
        if not self._begun:  # only in a worker, when its loop runs
            self._begun = True
            gevent.spawn(self._let_begin)
        mine = Event()
        heapq.heappush(self._ready, (time.monotonic() + self._patience * asked, next(self._order), mine))
        self._somebody.set()
        return mine

    def leave(self) -> None:
        """One that had a place waits no more."""
        self._left += 1
        # Who asked for much is passed over late, and could leave again and again until then.
        if self._left > max(_MANY_LEFT, len(self._ready) // 2):
            self._ready = [one for one in self._ready if not one[-1].is_set()]
            heapq.heapify(self._ready)
            self._left = 0

    def _let_begin(self) -> None:
        hub = gevent.get_hub()
        always = hub.loop.io(os.eventfd(1), 1)
        while True:
            self._somebody.wait()
            self._somebody.clear()
            while self._ready:
                turn = heapq.heappop(self._ready)[-1]
                if turn.is_set():
                    self._left = max(0, self._left - 1)
                    continue
                turn.set()
                # The one whose turn it is goes on until it waits. Then the loop looks at all connections: with sleep(0)
                # it does so after fifty requests only, and so long a new one would wait for each of its steps.
                hub.wait(always)
