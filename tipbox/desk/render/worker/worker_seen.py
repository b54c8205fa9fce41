"""What a look has seen, and which kind of file it is by its bytes. Inside a sandbox only."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from typing import Any, BinaryIO

PICTURES = frozenset({"jpeg", "png", "gif", "tiff", "webp", "heic", "pdf"})
MEDIA = frozenset({"mp4", "ogg", "mp3", "wav", "flac", "amr", "matroska", "avi"})
DOCUMENTS = frozenset({"docx", "xlsx", "odt", "mail", "html", "svg", "text"})
ARCHIVES = frozenset({"zip", "tar", "gzip", "bzip2", "xz"})
MOST_ENTRIES = 1000
MOST_FACTS = 200
MOST_TEXT = 200_000
"""Characters."""
MOST_WORD = 500
"""Characters of a name or a value."""

_STARTS = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
    (b"\xff\xfb", "mp3"),
    (b"\xff\xf3", "mp3"),
    (b"\xff\xf2", "mp3"),
    (b"#!AMR", "amr"),
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"MZ", "program"),
    (b"\x7fELF", "program"),
    (b"L\x00\x00\x00\x01\x14\x02\x00", "program"),
)
_RIFF = {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}
_STILL = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif")
_MAIL = (
    "from:",
    "to:",
    "subject:",
    "received:",
    "return-path:",
    "date:",
    "mime-version:",
    "message-id:",
    "delivered-to:",
)


class Stop(Exception):
    """There is nothing more to see: one of the lines that the desk knows, and what was seen before."""

    def __init__(self, line: str, seen: Seen | None = None) -> None:
        super().__init__(line)
        self.line = line
        self.seen = seen


@dataclass
class Seen:
    """Facts, text, pictures and sound; ``sight``: more than facts are wanted, pictures up to ``side`` and ``count``."""

    kind: str = ""
    sight: bool = False
    side: int = 0
    count: int = 0
    line: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)
    entries: list[tuple[str, int, int, int]] = field(default_factory=list)
    """Name, size, packed size, and in how many archives it lies."""
    more_entries: int = 0
    signs: set[str] = field(default_factory=set)
    text: str = ""
    cut: bool = False
    pictures: list[tuple[int, int, bytes]] = field(default_factory=list)
    sound: bytes = b""
    likeness: str = ""

    def fact(self, name: str, value: object) -> None:
        """Note a fact, when it says something."""
        word = str(value).strip()[:MOST_WORD]
        if word and len(self.facts) < MOST_FACTS:
            self.facts.append((name, word))

    def entry(self, name: str, size: int, packed: int = 0, depth: int = 0) -> None:
        """Note what lies in an archive."""
        if len(self.entries) < MOST_ENTRIES:
            self.entries.append((name[:MOST_WORD], min(size, 1 << 62), min(packed, 1 << 62), depth))
        else:
            self.more_entries += 1

    def say(self, text: str) -> None:
        """Add text, up to the bound."""
        left = MOST_TEXT - len(self.text)
        self.cut = self.cut or len(text) > left
        self.text += text[:left]

    @property
    def full(self) -> bool:
        """Whether no more text is wanted."""
        return len(self.text) >= MOST_TEXT

    def to_json(self) -> dict[str, Any]:
        """All but pixels and sound."""
        return {
            "cut": self.cut,
            "entries": self.entries,
            "facts": self.facts,
            "kind": self.kind,
            "likeness": self.likeness,
            "line": self.line,
            "more_entries": self.more_entries,
            "pictures": len(self.pictures),
            "signs": sorted(self.signs),
            "sound": len(self.sound),
            "text": self.text,
        }


def kind_of(file: BinaryIO) -> str:
    """The kind by the bytes of a file; empty when they say nothing that can be shown."""
    head = file.read(4096)
    file.seek(0)
    if not head:
        raise Stop("empty")
    for start, kind in _STARTS:
        if head.startswith(start):
            return _packed(file) if kind == "zip" else kind
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return "heic" if head[8:12] in _STILL else "mp4"
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    if head[257:262] == b"ustar":
        return "tar"
    if b"%PDF-" in head[:1024]:
        return "pdf"
    return _written(head)


def _written(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1024].lower()
    if start.startswith(
        (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<svg", b"<?xml", b"<!doctype svg")
    ):
        return "svg" if b"<svg" in start else "html"
    text = head.decode("latin-1")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text"
    controls = sum(character < " " and character not in "\t\n\r\x0c" for character in text)
    if "\0" in text or controls * 10 > len(text):
        return ""
    lines = text.split("\n")
    if sum(line.lower().startswith(_MAIL) for line in lines[:40]) >= 2 and ":" in lines[0]:
        return "mail"
    return "text"


def _packed(file: BinaryIO) -> str:
    """What a ZIP is by the names in it."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = {info.filename for info in archive.infolist()[:5000]}
    except Exception:  # the archives' own look says what is wrong with it
        return "zip"
    finally:
        file.seek(0)
    if "word/document.xml" in names:
        return "docx"
    if "xl/workbook.xml" in names:
        return "xlsx"
    if "content.xml" in names and "mimetype" in names:
        return "odt"
    return "zip"
