"""The forms in which one passphrase may have been typed: keyboards and editors differ."""

from __future__ import annotations

import codecs
import unicodedata
from contextlib import suppress
from typing import Final

MAX_PASSPHRASE: Final = 1024
"""Bytes of what a passphrase file holds, without the line ends after it."""
_BYTE_ORDER_MARK: Final = "\ufeff".encode()


def normal(data: bytes, *, several_lines: bool = False) -> bytes:
    """NFC, one space for each row of blanks, none at the ends; it may still be no passphrase."""
    line = composed(data)
    if several_lines:
        line = b" ".join(line.split())
    if b"\n" not in line:
        with suppress(UnicodeDecodeError):
            line = " ".join(line.decode().split()).encode()
    return line


def forms_of(data: bytes) -> list[bytes]:
    """What to try, one after the other, each once: another try takes a second and much memory.

    Passphrases were not always normalised, nor their blanks. So when the one form opens nothing, the line with its
    blanks, the bytes as they stand, and letters apart from their accents (NFD) are tried: a vault that was locked with
    them must not be lost.
    """
    usual = normal(data)
    forms = (usual, composed(data), data.removesuffix(b"\n").removesuffix(b"\r"), _decomposed(usual))
    return list(dict.fromkeys(form for form in forms if is_passphrase(form)))


def composed(data: bytes) -> bytes:
    """In NFC, without byte order mark and empty lines around it."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with suppress(UnicodeDecodeError):
            data = data.decode("utf-16").encode()
    line = data.removeprefix(_BYTE_ORDER_MARK).strip(b"\r\n")
    with suppress(UnicodeDecodeError):
        line = unicodedata.normalize("NFC", line.decode()).encode()
    return line


def is_passphrase(line: bytes) -> bool:
    """Whether a passphrase can be this."""
    return 1 <= len(line) <= MAX_PASSPHRASE and b"\n" not in line


def _decomposed(line: bytes) -> bytes:
    with suppress(UnicodeDecodeError):
        line = unicodedata.normalize("NFD", line.decode()).encode()
    return line
