"""Archives: the names in them and their sizes. Nothing is ever written out. Inside a sandbox only."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from typing import Any, BinaryIO

from worker_seen import Seen, Stop

DEPTH = 2
"""Archives in archives that are looked into."""
MOST_INNER = 16 << 20
"""Bytes of an archive in an archive."""
MOST_UNPACKED = 64 << 20
"""Bytes that are unpacked to find the names in a stream, or how much it unfolds to."""
BOMB = 100
"""Times as large as what is packed: no document packs so well."""
_SMALL = 10 << 20
_NAMES_PER_ARCHIVE = 20_000
_ENDINGS = (".zip", ".docx", ".xlsx", ".jar", ".apk", ".odt")


def look(file: BinaryIO, seen: Seen) -> None:
    """The names in an archive."""
    if seen.kind == "zip":
        _zip(file, seen, 0)
    elif seen.kind == "tar":
        _tar(file, seen)
    else:
        _stream(file, seen)
    if seen.entries:
        seen.fact("names", len(seen.entries) + seen.more_entries)
    if not seen.entries and not seen.facts and not seen.line:
        seen.line = "empty-archive"


def _strange(name: str, seen: Seen) -> None:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name.startswith(("/", "\\")) or name[1:2] == ":":
        seen.signs.add("outside")


def _zip(file: BinaryIO, seen: Seen, depth: int) -> None:
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if len(infos) > _NAMES_PER_ARCHIVE:
            seen.more_entries += len(infos) - _NAMES_PER_ARCHIVE
        size = sum(info.file_size for info in infos)
        packed = sum(info.compress_size for info in infos)
        if size > _SMALL and size > BOMB * max(packed, 1):
            seen.signs.add("bomb")
        for info in infos[:_NAMES_PER_ARCHIVE]:
            seen.entry(info.filename, info.file_size, info.compress_size, depth)
            _strange(info.filename, seen)
            if info.external_attr >> 16 & 0o170000 == 0o120000:
                seen.signs.add("outside")
            if info.flag_bits & 1:
                seen.signs.add("locked")
                continue
            if info.filename.lower().endswith(_ENDINGS):
                if depth >= DEPTH:
                    seen.signs.add("nested")
                elif info.file_size <= MOST_INNER and len(seen.entries) < 1000:
                    try:
                        with archive.open(info) as inner:
                            data = inner.read(MOST_INNER + 1)
                        if len(data) <= MOST_INNER:
                            _zip(io.BytesIO(data), seen, depth + 1)
                    except Exception:  # one that cannot be read is listed all the same
                        seen.signs.add("nested")
                else:
                    seen.signs.add("nested")


def _tar(file: BinaryIO, seen: Seen) -> None:
    count = 0
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            seen.entry(member.name, member.size)
            _strange(member.name, seen)
            if member.issym() or member.islnk() or member.isdev():
                seen.signs.add("outside")
            count += 1
            if count >= _NAMES_PER_ARCHIVE:
                break


def _stream(file: BinaryIO, seen: Seen) -> None:
    """One stream: how much it unfolds to, up to the bound; and the names, if a tar is in it."""
    packed = file.seek(0, io.SEEK_END)
    file.seek(0)
    readers: dict[str, Any] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    held = io.BytesIO()
    try:
        with readers[seen.kind](file, "rb") as stream:
            while held.tell() <= MOST_UNPACKED and (piece := stream.read(1 << 20)):
                held.write(piece)
    except (EOFError, OSError, lzma.LZMAError) as error:
        if not held.tell():
            raise Stop("broken", seen) from error
        seen.line = "broken"
    size = held.tell()
    seen.fact("unfolds to bytes", f"{size} or more" if size > MOST_UNPACKED else size)
    if size > _SMALL and size > BOMB * max(packed, 1):
        seen.signs.add("bomb")
    held.seek(257)
    if held.read(5) == b"ustar":
        held.seek(0)
        try:
            _tar(held, seen)
        except tarfile.TarError:
            seen.line = "broken"
