"""Takes the pictures of the staff guide while its steps are taken: python tests/desk/pages/pictures.py.

All tips, names and keys in them are made up here. A picture is taken at the step that shows it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests")]

from desk.pages.guide import Walker, prepare, steps  # noqa: E402 (found by the line above)
from desk.pages.hand import hand_in  # noqa: E402
from desk.pages.serving import serving  # noqa: E402
from support.desk import Desks, Exporter  # noqa: E402
from tipbox.formats.base import days  # noqa: E402

FOLDER: Final = ROOT / "docs" / "pictures"
LARGEST: Final = 200_000
"""Bytes of a picture."""
COLOURS: Final = 64
"""Pages have few; a picture of them needs no more."""


def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory(prefix="desk-") as name:
        folder = Path(name)
        desks = Desks.make(folder / "desks", days.today(), ("fidh", "kibhr"))
        given = prepare(desks, Exporter(), folder)
        with serving(desks.desks[1], folder / "scratch") as pages, hand_in() as hand:

            def take(picture: str) -> None:
                path = FOLDER / picture
                hand.run(
                    f"const folder = {str(folder)!r};"
                    "for (const one of document.querySelectorAll('input'))"
                    " one.value = one.value.replaceAll(folder, '/media');"
                    "for (const one of document.querySelectorAll('dd, #copy-state'))"
                    " if (!one.children.length) one.textContent = one.textContent.replaceAll(folder, '/media');"
                )
                hand.screenshot(path)
                with Image.open(path) as whole:
                    whole.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
                assert path.stat().st_size < LARGEST, picture

            hand.goto(pages.url)
            walker = Walker(hand, given, take)
            for step in steps():
                walker.take(step)


if __name__ == "__main__":
    main()
