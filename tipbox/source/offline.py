"""Sealing a tip into a file, without any network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tipbox.files.direct import DirectFile
from tipbox.files.durable import SEALED_MODE, replacing
from tipbox.formats.base.limits import KEY_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.envelopes.pieces import new_mark, write_pieces
from tipbox.source.sealing import SealedTip


def write_tip(tip: SealedTip, out: Path, progress: Callable[[int], None] = lambda _: None) -> None:
    """Write the Envelope to ``out``: durably, whole, or not at all."""
    with replacing(out, SEALED_MODE) as file, DirectFile(file.fileno()) as direct:
        direct.put(tip.sealed.opening)
        for batch in tip.batches(direct.room):
            direct.give(batch)
            progress(len(batch))
        direct.put(tip.end.trailer)


def write_tip_in_pieces(
    tip: SealedTip, out: Path, parts_each: int, progress: Callable[[int], None] = lambda _: None
) -> list[Path]:
    """Write the Envelope in pieces beside ``out``, ``NAME-MARK-01-of-12.tip`` and on: all of them, or none.

    Args:
        tip: to write.
        out: the name, without mark and number. The mark is random, so that no piece replaces one of another tip.
        parts_each: parts of a piece, 1 to 1,024, each 64 KiB.
        progress: called with bytes written.

    Returns:
        Their paths, in order.
    """
    name = f"{out.stem}-{new_mark()}"
    written: list[Path] = []
    try:
        with closing(tip.parts()) as parts:
            pieces = write_pieces(
                tip.sealed.opening,
                parts,
                lambda _: tip.end.trailer,
                token=random_bytes(KEY_SIZE),
                parts_each=parts_each,
            )
            for head, held in pieces:
                width = len(str(head.count))
                path = out.with_name(f"{name}-{head.number + 1:0{width}}-of-{head.count}{out.suffix}")
                with replacing(path, SEALED_MODE) as file:
                    file.write(head.encode())
                    file.writelines(held)
                written.append(path)
                progress(sum(map(len, held)))
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written
