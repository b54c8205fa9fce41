"""Makes the pictures of the desk's pages that the staff guide shows: python tests/desk/pages/pictures.py.

All tips, names and keys in them are made up here. It goes through the same states as the tests.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests")]

from desk.pages.batch import make_batch  # noqa: E402 (found by the line above)
from desk.pages.every_state import add_files, states  # noqa: E402
from desk.pages.hand import hand_in  # noqa: E402
from desk.pages.serving import serving  # noqa: E402
from support.desk import Desks, Exporter  # noqa: E402
from tipbox.formats.base import days  # noqa: E402

FOLDER: Final = ROOT / "docs" / "pictures"
LARGEST: Final = 200_000
"""Bytes of a picture."""
SHOWN: Final = {"found": "desk-inbox", "check digits": "desk-thread", "picture that is blurred": "desk-file"}
"""Which states, and the names of their pictures."""


def main() -> None:
    """Make them all."""
    today = days.today()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desks = Desks.make(folder / "desks", today, ("fidh", "kibhr"))
        desk, stick = desks.desks[1], folder / "stick"
        stick.mkdir()
        batch = make_batch(desks.manifests, desk.manifest, 24, today)
        Exporter().export(stick / "kibhr-1.bundle", desk.manifest, batch.tips, day=today)
        desk.take(stick, today=today)
        add_files(desks, desk, folder)
        with serving(desk, folder / "scratch") as pages, hand_in() as hand:
            for state in states(hand, pages, stick):
                if state in SHOWN:
                    path = FOLDER / f"{SHOWN[state]}.png"
                    hand.screenshot(path)
                    assert path.stat().st_size < LARGEST, state


if __name__ == "__main__":
    main()
