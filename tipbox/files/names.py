"""File names from the other side, made safe. The name as it came comes from a stranger, and no path is made of it.

A safe name has a number in front, so it is never empty, never hidden, never an option, and never the same twice.
"""

from __future__ import annotations

import os
import unicodedata
from typing import Final

from tipbox.files.printable import is_printable

MAX_SAFE_NAME: Final = 100
"""Bytes of UTF-8, without the number in front."""

_MAX_EXTENSION: Final = 16
_FALLBACK: Final = "file"
# What some system reads as part of a path, a pattern, a shell word or a stream.
_FORBIDDEN: Final = frozenset("/\\:*?\"<>|`$&;'!#%{}[]~^")
_RESERVED: Final = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"]
)


def _clean(name: str) -> str:
    kept = []
    for character in unicodedata.normalize("NFC", name):
        if character in _FORBIDDEN:
            kept.append("_")
        elif character.isspace():
            kept.append(" ")
        elif is_printable(character):
            kept.append(character)
    return " ".join("".join(kept).split()).strip(" .-")


def _cut(text: str, size: int) -> str:
    """At most ``size`` bytes, never half a character."""
    return text.encode()[: max(size, 0)].decode(errors="ignore").rstrip(" .")


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    # The ending decides which program opens a file, so it survives where the rest is cut.
    if stem and extension.isascii() and extension.isalnum() and len(extension) <= _MAX_EXTENSION:
        return stem, dot + extension
    return name, ""


def on_disk(name: str) -> str:
    """A name for the system's calls: as UTF-8 on the disk, also in a locale that lacks its characters."""
    return os.fsdecode(name.encode())


def safe_name(number: int, name: str) -> str:
    """``NNN-name``: a file name that no system takes for anything else.

    Args:
        number: the file's place in its Envelope, from 1.
        name: the name that its sender gave it.
    """
    stem, extension = _split(_clean(name))
    stem = _cut(stem.rstrip(" ."), MAX_SAFE_NAME - len(extension))
    # Windows takes CON.txt for the console, whatever its ending.
    if stem.split(".")[0].strip().lower() in _RESERVED:
        stem = _cut(f"_{stem}", MAX_SAFE_NAME - len(extension))
    return f"{number:03d}-{stem or _FALLBACK}{extension}"
