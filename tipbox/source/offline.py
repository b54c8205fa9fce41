"""Sealing a tip into a file, without any network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tipbox.durable import replacing
from tipbox.source.sealing import SealedTip


def write_tip(tip: SealedTip, out: Path, progress: Callable[[int], None] = lambda _: None) -> None:
    """Write the Envelope to ``out``: whole, or not at all."""
    with replacing(out) as file:
        file.write(tip.head)
        for part in tip.parts():
            file.write(part)
            progress(len(part))
