"""Sealing a tip into a file, without any network."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from tipbox.durable import replacing
from tipbox.source.sealing import SealedTip
from tipbox.source.stage import Stage

_WRITE_BACK: Final = 32 << 20


class _Writer:
    """Writes batches, and has the system begin to store them: the sync at the end has little left to wait for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pending = 0

    def __call__(self, batch: list[bytes]) -> None:
        self._file.writelines(batch)
        self._pending += sum(map(len, batch))
        if self._pending >= _WRITE_BACK:
            self._pending = 0
            self._file.flush()
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def write_tip(tip: SealedTip, out: Path, progress: Callable[[int], None] = lambda _: None) -> None:
    """Write the Envelope to ``out``: whole, or not at all."""
    with replacing(out) as file:
        file.write(tip.head)
        with Stage(_Writer(file)) as writing:
            for batch in tip.batches():
                writing.put(batch)
                progress(sum(map(len, batch)))
