"""Pixels as a PNG that we wrote ourselves: no browser and no viewer ever decodes a picture of a source's."""

from __future__ import annotations

import struct
import zlib
from typing import Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_LEVEL: Final = 3
_RGB: Final = struct.pack(">BBBBB", 8, 2, 0, 0, 0)
"""Eight bits a channel, red, green and blue; the only packing, filtering and order that there is."""


def png(width: int, height: int, pixels: bytes) -> bytes:
    """A PNG of RGB pixels, rows from the top.

    Raises:
        ValueError: there are not three bytes for each pixel.
    """
    row = 3 * width
    if not (width > 0 and height > 0 and len(pixels) == row * height):
        raise ValueError(len(pixels))
    packing = zlib.compressobj(_LEVEL)
    packed = bytearray()
    for start in range(0, len(pixels), row):
        packed += packing.compress(b"\0" + pixels[start : start + row])
    packed += packing.flush()
    return (
        _SIGNATURE
        + _chunk(b"IHDR", struct.pack(">II", width, height) + _RGB)
        + _chunk(b"IDAT", bytes(packed))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
