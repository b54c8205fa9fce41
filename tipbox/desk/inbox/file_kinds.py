"""What a file is: what its first bytes say, and what its name says. Where the two differ, somebody should look twice.

Nothing is parsed here: the process that holds the vault's key compares the first bytes with a table, and no more.
"""

from __future__ import annotations

import re
from typing import Final

HEAD: Final = 512
"""Bytes from the start of a file that are looked at."""

_STARTS: Final = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"Rar!\x1a\x07", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"(\xb5/\xfd", "zstd"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"{\\rtf", "rtf"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
    (b"\xff\xfb", "mp3"),
    (b"\xff\xf3", "mp3"),
    (b"#!AMR", "amr"),
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"MZ", "windows-program"),
    (b"\x7fELF", "linux-program"),
    (b"L\x00\x00\x00\x01\x14\x02\x00", "windows-link"),
    (b"#!", "script"),
    (b"[Desktop Entry]", "linux-link"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"\x89tipbox\n", "tipbox"),
)
_RIFF: Final = {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}
_BRANDS: Final = {b"heic": "heic", b"heix": "heic", b"mif1": "heic", b"avif": "avif", b"qt  ": "mov", b"M4A ": "m4a"}
_MARKUP: Final = re.compile(rb"\s*<(!doctype html|html|head|body|script|svg|\?xml)", re.IGNORECASE)
_TEXT_CONTROLS: Final = frozenset(range(32)) - frozenset(b"\t\n\r\x0c")

_NAMES: Final = {
    "jpeg": "jpg jpeg jpe jfif",
    "heic": "heic heif",
    "tiff": "tif tiff",
    "mov": "mov qt",
    "mp4": "mp4 m4v 3gp 3g2",
    "ogg": "ogg oga ogv opus",
    "matroska": "mkv webm mka",
    "zip": "zip docx xlsx pptx odt ods odp epub jar apk kmz",
    "ole": "doc xls ppt msg msi",
    "gzip": "gz tgz",
    "text": "txt csv md log json eml srt vcf",
    "html": "html htm xhtml",
    "xml": "xml svg kml gpx",
    "windows-program": "exe dll scr com pif",
    "windows-link": "lnk",
    "linux-link": "desktop",
    "script": "sh py pl bat cmd ps1 vbs js",
}
_BY_ENDING: Final = {ending: kind for kind, endings in _NAMES.items() for ending in endings.split()}
_ENDING: Final = re.compile(r"\.([a-z0-9]{1,10})\s*$", re.ASCII)


def by_bytes(head: bytes) -> str:
    """The kind that the first bytes (``HEAD`` of them, or all) say; empty when they say nothing."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "mp4")
    if head[257:262] == b"ustar":
        return "tar"
    if found := _MARKUP.match(head):
        return "xml" if found[1].lower() in (b"svg", b"?xml") else "html"
    return "text" if head and _is_text(head) else ""


def by_name(name: str) -> str:
    """The kind that the ending of a name claims; its ending itself when that is in no table, empty without one."""
    found = _ENDING.search(name.lower())
    return "" if found is None else _BY_ENDING.get(found[1], found[1])


def _is_text(head: bytes) -> bool:
    if not _TEXT_CONTROLS.isdisjoint(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character that is cut at the end
    return True
