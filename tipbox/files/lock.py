"""A lock of the kernel on a file or folder: one holder at a time, and it ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path | str, *, mode: int | None = None) -> Iterator[None]:
    """Wait until nobody else holds ``path``, then hold it.

    Args:
        path: a folder that is there, or a file, which is made when it is missing. A link is not followed: whoever may
            write beside the file could otherwise have another one made or kept waiting.
        mode: of the file; None for a folder.

    Raises:
        OSError: it cannot be opened.
    """
    kind = os.O_RDONLY | os.O_DIRECTORY if mode is None else os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    descriptor = os.open(path, kind | os.O_CLOEXEC, mode or 0)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which ends the lock
