"""Files to seal: bytes that do not compress, as photos and videos are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_PIECE = 8 << 20


def must_have_room(folder: Path, size: int) -> None:
    """Refuse, before anything is made, what would fill the disk of a folder; ``size`` in bytes, with all copies."""
    free = shutil.disk_usage(folder).free
    assert free >= size, (
        f"this takes {size / 1e9:.0f} GB of the disk of {folder}, which has {free / 1e9:.0f} GB free: "
        "make room there, or name a folder on a larger disk with TMPDIR"
    )


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
