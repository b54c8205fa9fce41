"""How bad a photograph of a sheet of six QR codes may be: python tests/bench/qr_ceiling.py (docs/staff/commands.md).

For each way in which photographs are bad, how many of six codes are read as it grows worse, the rest being as in
`Shot`. Measured of one sheet after another, each with codes of its own.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from support.qr.photographs import SHEET, Shot, sheet
from support.qr.qr_codes import to_qr_codes
from tipbox.desk.importing.photos import Photos
from tipbox.formats.base.limits import MAX_QR_ENVELOPE

SWEEPS: dict[str, tuple[Any, ...]] = {
    "tilt": (15, 25, 35, 45, 55, 65),
    "height": (4000, 3000, 2500, 2000, 1600, 1200),
    "blur": (0.5, 1, 1.5, 2, 2.5, 3),
    "noise": (6, 12, 20, 30, 45, 60),
    "quality": (90, 70, 50, 30, 20, 10),
}


def read(shot: Shot) -> int:
    """How many codes of a sheet are read."""
    photos = Photos()
    with tempfile.TemporaryFile() as file:
        file.write(shot.of(sheet(to_qr_codes(secrets.token_bytes(SHEET * 1000))[:SHEET])))
        size = file.tell()
        file.seek(0)
        return photos.add(file, size)


def rows() -> Iterator[str]:
    """Lines of a table."""
    for name, values in SWEEPS.items():
        found = [f"{value:g}: {read(replace(Shot(), **{name: value}))}" for value in values]
        yield f"| {name} | {' · '.join(found)} |"


if __name__ == "__main__":
    data, whole = MAX_QR_ENVELOPE // 1000, to_qr_codes(secrets.token_bytes(MAX_QR_ENVELOPE))
    print(f"most: {MAX_QR_ENVELOPE:,} bytes, {len(whole)} codes, {data} enough")
    for row in rows():
        print(row, flush=True)
