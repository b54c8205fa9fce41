"""Sealing a tip into a file, without any network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tipbox.durable import replacing
from tipbox.source.sealing import SealedTip
from tipbox.stage import Stage


def write_tip(tip: SealedTip, out: Path, progress: Callable[[int], None] = lambda _: None) -> None:
    """Write the Envelope to ``out``: whole, or not at all.

    It is not waited for until it is on the disk, as no copying program does: whoever sealed still has the files.
    """
    with replacing(out, sync=False) as file:
        file.write(tip.head)
        with Stage(file.writelines) as writing:
            for batch in tip.batches():
                writing.put(batch)
                progress(sum(map(len, batch)))
