"""Dropping what requests left in a worker's memory: an image of an idle server shows nothing of them.

Looking for it takes a tenth of a second for every thousand connections that are open, in which nobody is answered. So
it is looked for once a worker is at rest, and while it never is, for a sixtieth of its time: an attacker leaves
megabytes a second, in cycles.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from tipbox.server.web.worker_keys import LONGEST_WINDOW

SECONDS: Final = 3
"""Between two looks. A worker that was asked nothing since the last one is at rest: so all is dropped in six."""
_TIMES: Final = LONGEST_WINDOW // SECONDS + 2
"""Looks after the last request: a budget counts those of the last minute."""
_AT_REST: Final = (1, 2)
"""Looks after the last request at which memory is searched: what the first lets go of may free more."""
_SHARE: Final = 60
"""While there are always requests: times that a search took, until the next one;"""
_BUSY_SECONDS: Final = 60
"""but no more than these."""
_LIBC: Final = ctypes.CDLL(None)


class Forgetting:
    """What a worker does about it; ``drop`` is called at each look, and drops what is counted no longer."""

    def __init__(self, drop: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._drop = drop
        self._clock = clock
        self._due = clock()
        self._looks = _TIMES

    def asked(self) -> None:
        """A request, or a connection, has come or gone."""
        self._looks = 0

    def look(self) -> bool:
        """To be called every SECONDS; whether memory was searched."""
        if self._looks >= _TIMES:
            return False
        since, self._looks = self._looks, self._looks + 1
        self._drop()
        # gunicorn parses paths by it, and it keeps the last ones.
        urlsplit.cache_clear()  # type: ignore[attr-defined]
        begun = self._clock()
        if not (begun >= self._due or since in _AT_REST or self._looks == _TIMES):
            return False
        gc.collect()
        if hasattr(_LIBC, "malloc_trim"):  # glibc: what is free goes back to the kernel, which clears it
            _LIBC.malloc_trim(0)
        ended = self._clock()
        self._due = ended + min(_BUSY_SECONDS, _SHARE * (ended - begun))
        return True
