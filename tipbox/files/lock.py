"""A lock of the kernel on a file or folder: one holder at a time, and it ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(
    path: Path | str, *, mode: int | None = None, waiting: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Wait until nobody else holds ``path``, then hold it.

    Args:
        path: a folder that is there, or a file, which is made when it is missing. A link is not followed: whoever may
            write beside the file could otherwise have another one made or kept waiting.
        mode: of the file; None for a folder.
        waiting: called once when somebody else holds it; what it raises ends the waiting.

    Raises:
        OSError: it cannot be opened.
    """
    kind = os.O_RDONLY | os.O_DIRECTORY if mode is None else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, kind | os.O_NOFOLLOW | os.O_CLOEXEC, mode or 0)
    try:
        _lock(descriptor, waiting)
        yield
    finally:
        os.close(descriptor)  # which ends the lock


def _lock(descriptor: int, waiting: Callable[[], object]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
