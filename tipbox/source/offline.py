"""Sealing a tip into a file, without any network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tipbox.files.durable import SEALED_MODE, replacing
from tipbox.files.writer_thread import WriterThread
from tipbox.source.sealing import SealedTip


def write_tip(tip: SealedTip, out: Path, progress: Callable[[int], None] = lambda _: None) -> None:
    """Write the Envelope to ``out``: durably, whole, or not at all."""
    with replacing(out, SEALED_MODE) as file:
        file.write(tip.sealed.opening)
        with WriterThread(file.writelines) as writing:
            for batch in tip.batches():
                writing.put(batch)
                progress(sum(map(len, batch)))
        file.write(tip.end.trailer)
