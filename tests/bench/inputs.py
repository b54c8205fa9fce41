"""Files to seal: bytes that do not compress, as photos and videos are."""

from __future__ import annotations

import os
from pathlib import Path

_PIECE = 8 << 20


def random_file(path: Path, size: int) -> Path:
    """A file of random bytes."""
    with path.open("wb") as file:
        for at in range(0, size, _PIECE):
            file.write(os.urandom(min(_PIECE, size - at)))
    return path


def sparse_file(path: Path, size: int) -> Path:
    """A file of zeros that takes no room: what reads it pays for no disk."""
    with path.open("wb") as file:
        file.truncate(size)
    return path
