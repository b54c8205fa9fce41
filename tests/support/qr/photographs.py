"""QR codes on sheets of paper, and what a telephone makes of them: at an angle, out of focus, in bad light."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import zxingcpp
from PIL import Image, ImageChops, ImageFilter

from tipbox.formats.envelopes.qr_codes import QrCode

SHEET = 6
"""Codes on a sheet of A4, as the offline page prints them: two beside each other, three rows."""
_MODULES = 121
_QUIET = 4
_SCALE = 6

Matrix = tuple[tuple[float, float, float], ...]


def drawn(code: QrCode, scale: int = _SCALE) -> Image.Image:
    """The code as the page draws it: version 26, error correction M; by another encoder than the page's."""
    made = zxingcpp.create_barcode(code.encode(), zxingcpp.BarcodeFormat.QRCode, ec_level="M", version=26)
    side = _MODULES + 2 * _QUIET
    plain = Image.fromarray(made.to_image(scale=1, add_quiet_zones=False)).convert("L")
    assert plain.size == (_MODULES, _MODULES)
    paper = Image.new("L", (side, side), 255)
    paper.paste(plain, (_QUIET, _QUIET))
    return paper.resize((side * scale, side * scale), Image.Resampling.NEAREST)


def sheet(codes: Sequence[QrCode], scale: int = _SCALE, columns: int = 2) -> Image.Image:
    """Codes on white paper: up to six, where nobody wants more beside each other."""
    tiles = [drawn(code, scale) for code in codes]
    side = tiles[0].width + 8 * scale
    paper = Image.new("L", (columns * side, max(3, math.ceil(len(tiles) / columns)) * side), 255)
    for number, tile in enumerate(tiles):
        paper.paste(tile, (number % columns * side + 4 * scale, number // columns * side + 4 * scale))
    return paper


@dataclass(frozen=True)
class Shot:
    """How a sheet is photographed.

    Attributes:
        tilt: degrees by which the camera looks at it from the side.
        turn: degrees by which the sheet lies askew.
        blur: the radius of what is out of focus, in pixels of the photograph.
        noise: the standard deviation of the noise, of 255 shades.
        height: of the photograph, in pixels: 4,000 by 3,000 is 12 megapixels.
        quality: of the JPEG.
    """

    tilt: float = 25
    turn: float = 8
    blur: float = 1.0
    noise: float = 12
    height: int = 3000
    quality: int = 80

    def of(self, paper: Image.Image) -> bytes:
        """The photograph, as JPEG."""
        width = self.height * 3 // 4
        room = 1.25  # the sheet does not fill the picture
        size = min(self.height / paper.height, width / paper.width) / room
        distance = 2.0 * paper.height
        angle = math.radians(self.tilt)
        turn = math.radians(self.turn)
        # From a place in the photograph to one on the paper: to the middle, onto the tilted plane, turned, and back.
        middle: Matrix = ((1, 0, -width / 2), (0, 1, -self.height / 2), (0, 0, 1))
        lens: Matrix = ((1 / size, 0, 0), (0, 1 / size, 0), (0, 0, 1))
        plane: Matrix = (
            (distance, 0, 0),
            (0, distance * math.cos(angle), 0),
            (-math.sin(angle), 0, distance * math.cos(angle)),
        )
        spun: Matrix = ((math.cos(turn), -math.sin(turn), 0), (math.sin(turn), math.cos(turn), 0), (0, 0, 1))
        back: Matrix = ((1, 0, paper.width / 2), (0, 1, paper.height / 2), (0, 0, 1))
        total = middle
        for step in (lens, plane, spun, back):
            total = _times(step, total)
        flat = [value / total[2][2] for row in total for value in row][:8]
        desk = 150
        seen = paper.transform(
            (width, self.height), Image.Transform.PERSPECTIVE, flat, Image.Resampling.BICUBIC, fillcolor=desk
        )
        # Paper in a room is gray, and ink is not black.
        seen = seen.point([45 + value * 150 // 255 for value in range(256)])
        seen = seen.filter(ImageFilter.GaussianBlur(self.blur))
        seen = ImageChops.add(seen, _grain(seen.size, self.noise), offset=-128)
        file = io.BytesIO()
        seen.convert("RGB").save(file, "JPEG", quality=self.quality)
        return file.getvalue()


def _grain(size: tuple[int, int], noise: float) -> Image.Image:
    """Noise around a middle gray, of tiles: making as many random numbers as there are pixels takes seconds."""
    tile = Image.effect_noise((509, 509), noise)
    grain = Image.new("L", size)
    for left in range(0, size[0], tile.width):
        for top in range(0, size[1], tile.height):
            grain.paste(tile, (left, top))
    return grain


def _times(one: Matrix, other: Matrix) -> Matrix:
    columns = tuple(zip(*other, strict=True))
    return tuple(tuple(sum(a * b for a, b in zip(row, column, strict=True)) for column in columns) for row in one)
