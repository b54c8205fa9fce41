"""A server on a small disk of its own, and ballast that takes the disk's room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.world import World

DISK = 48 << 20


@contextmanager
def disk(path: Path, size: int) -> Iterator[Path]:
    """A disk of its own (tmpfs) of ``size`` bytes, mounted at ``path``."""
    path.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tipbox-test", path), check=True)
    try:
        yield path
    finally:
        subprocess.run(("umount", "--lazy", path), check=True)


@dataclass(frozen=True)
class Ballast:
    """A file that takes up room on a disk."""

    path: Path

    def leave(self, free: int) -> None:
        """Take or give back room until ``free`` bytes of the disk are left."""
        with self.path.open("ab") as file:
            room = shutil.disk_usage(self.path.parent).free - free
            if room > 0:
                os.posix_fallocate(file.fileno(), file.tell(), room)
            else:
                file.truncate(max(0, file.tell() + room))

    def fill(self) -> None:
        """Take all that is left, to the last byte."""
        with self.path.open("ab") as file:
            for step in (1 << 20, 4096):
                try:
                    while True:
                        os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), step)
                except OSError:
                    continue

    def drop(self) -> None:
        """Give all of it back."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Tight:
    """A world whose server lies on a small disk."""

    world: World
    ballast: Ballast

    @property
    def free(self) -> int:
        """Bytes of the disk that are left."""
        return shutil.disk_usage(self.ballast.path.parent).free
