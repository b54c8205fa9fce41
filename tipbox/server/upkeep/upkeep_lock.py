"""What settles, backs up or restores H does so alone: one such command at a time, beside a running server."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from tipbox.server.home import Home


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Wait for the other one, then hold the lock. It ends with the process, however that ends."""
    descriptor = os.open(home.upkeep, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, home.file_mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
