"""What of the standard library waits on gevent's loop. Nothing else is imported here: it has to be the first."""

from __future__ import annotations

from typing import Final

from gevent import monkey

UNPATCHED: Final = ("os", "select", "signal", "subprocess")
"""Modules that gevent leaves alone. In a thread of the pool its ``select`` makes a loop for that thread, and then its
``os.close`` only asks that loop, which nobody runs, to close: descriptors would stay open, and locks on them held, for
good. Nothing on the worker's own loop selects, or starts processes."""


def patch() -> None:
    """Let the standard library wait on gevent's loop, where workers use it from there."""
    monkey.patch_all(**dict.fromkeys(UNPATCHED, False))
