"""Runs inside a sandbox only: reads one picture from standard input and writes the bytes of the QR codes in it.

It imports nothing of the project. What it reads is hostile, so what it writes is hostile too: the desk checks all of it
(tipbox/desk/importing/photos.py), and nothing here is trusted to hold its own bounds.

Answer: b"TBQ1", then for each QR code u16 size and its bytes; b"TBQ0" when the libraries are missing. It ends with 1
when the picture cannot be read.
"""

from __future__ import annotations

import sys

# -I -S: no folder but these two, and no .pth file, is looked into.
sys.path[:0] = ["/worker", "/site"]

import os  # noqa: E402
import struct  # noqa: E402
from typing import BinaryIO  # noqa: E402

try:
    import zxingcpp
    from PIL import Image, ImageFile
except ImportError:
    sys.stdout.write("TBQ0")
    sys.exit()

MOST_PIXELS = 100_000_000
"""Of a picture that is unfolded: 12 to 50 million come from telephones."""
MOST_CODES = 64
LARGEST_CODE = 2953
"""Bytes that the largest QR code can hold."""
_ROUGH = 2_000_000
"""Pixels above which a picture is looked at in half its size, too: noise of a dark photo is gone there."""


def gray(file: BinaryIO) -> Image.Image:
    """The picture in shades of gray."""
    Image.MAX_IMAGE_PIXELS = None  # compared here, before anything is unfolded
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # some of its codes may be above the cut
    head = file.read(12)
    file.seek(0)
    if head[4:8] == b"ftyp":
        import pillow_heif

        pillow_heif.options.DECODE_THREADS = 1
        pillow_heif.options.THUMBNAILS = False
        pillow_heif.register_heif_opener()
    with Image.open(file, formats=["JPEG", "PNG", "WEBP", *(["HEIF"] if head[4:8] == b"ftyp" else [])]) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError
        image.draft("L", image.size)
        if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
            over = image.convert("RGBA")
            flat = Image.new("RGBA", over.size, "white")
            flat.alpha_composite(over)
            return flat.convert("L")
        return image.convert("L")


def codes(image: Image.Image) -> list[bytes]:
    """The bytes of all QR codes in it, each once."""
    found: dict[bytes, None] = {}
    looks = [image]
    if image.width * image.height > _ROUGH:
        looks.append(image.reduce(2))
    wanted = zxingcpp.barcode_formats_from_str("QRCode")
    for look in looks:
        for code in zxingcpp.read_barcodes(look, formats=wanted, try_invert=False):
            found[bytes(code.bytes)[:LARGEST_CODE]] = None
    return list(found)[:MOST_CODES]


def main() -> None:
    """Read the picture, and answer in one frame."""
    with os.fdopen(0, "rb", closefd=False) as file:
        try:
            found = codes(gray(file))
        except Exception:  # libraries raise anything for a damaged file, and their words are the source's
            sys.exit(1)
    out = sys.stdout.buffer
    out.write(b"TBQ1")
    for code in found:
        out.write(struct.pack(">H", len(code)) + code)
    out.flush()


main()
