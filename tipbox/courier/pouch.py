"""Carrying sealed tips of others to a server: .tip files and pieces, as they lie on a stick (docs/protocol.md, 6).

Nothing in them is read but their first bytes: they go to the couriers' listener as they are, one request each, and the
server says what became of them. What is sent again changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tipbox.courier.carry import LARGEST_POUCHED, sent
from tipbox.errors import FORMAT_ERRORS, InputRefused, NetworkFailed, TipboxError
from tipbox.formats.envelopes import header as envelopes
from tipbox.formats.envelopes import pieces
from tipbox.net.http import Connection

_MAGICS: Final = (envelopes.MAGIC, pieces.MAGIC)
_FATES: Final = frozenset({"here", "damaged", "foreign", "differs", "unknown"})
_OF_A_FILE: Final[tuple[type[TipboxError], ...]] = (InputRefused, *FORMAT_ERRORS)
"""Refusals of one file, which do not keep the others."""
_PIECE: Final = 1 << 20
_MOST_PIECES: Final = 1 << 20


@dataclass(frozen=True)
class Pouched:
    """What became of a file.

    Attributes:
        fate: ``here``, ``damaged``, ``foreign``, ``differs`` or ``unknown`` as the server says, or why it was not sent:
            ``not-tipbox`` of what is called a tip and is none.
        tip: what the files of one tip have in common, as the server names it.
        count: of its pieces; 0 for a whole tip.
        missing: numbers of the pieces that are not there yet, from 1.
        stored: whether the tip is there, whole.
    """

    path: Path
    fate: str
    tip: str = ""
    count: int = 0
    missing: tuple[int, ...] = field(default=())
    stored: bool = False


@dataclass
class Pouch:
    """The sealed files of some folders, each content once."""

    files: list[Path]
    others: int
    """Files that are not tipbox's: what other systems leave on a stick."""
    doubles: int
    broken: list[Path]
    """What is called a tip and is none: empty, or filled with zeros, as after a stick was pulled out too early."""


def pack(paths: Iterable[Path], cannot_read: Callable[[Path, OSError], None]) -> Pouch:
    """Find what is to be carried: by its first bytes, whatever it is called and wherever it lies."""
    found: dict[bytes, Path] = {}
    broken: list[Path] = []
    others = doubles = 0
    for path in _files(paths, cannot_read):
        try:
            digest = _digest(path)
        except OSError as error:
            cannot_read(path, error)
            continue
        if digest is None and _is_called_a_tip(path.name):
            broken.append(path)
        elif digest is None:
            others += 1
        elif digest in found:
            doubles += 1
        else:
            found[digest] = path
    return Pouch(list(found.values()), others, doubles, broken)


def _is_called_a_tip(name: str) -> bool:
    # Beside each file that it copies onto a stick, macOS leaves one with this prefix, and the same ending.
    return name.lower().endswith(".tip") and not name.startswith("._")


def carry(connection: Connection, paths: Iterable[Path], progress: Callable[[int], None]) -> Iterator[Pouched]:
    """Send each file; one that the server refuses does not keep the others.

    Raises:
        TipboxError: the server is full or could not be reached.
    """
    for path in paths:
        try:
            yield _pouched(path, sent(connection, path, "/courier/pouch", progress))
        except _OF_A_FILE as error:
            yield Pouched(path, error.code)


def _files(paths: Iterable[Path], cannot_read: Callable[[Path, OSError], None]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(
            path, onerror=lambda error: cannot_read(Path(str(error.filename)), error)
        ):
            folders.sort()
            for name in sorted(names):
                found = Path(folder, name)
                try:
                    if stat.S_ISREG(found.lstat().st_mode):  # a link on a stick could lead to any file of this machine
                        yield found
                except OSError as error:
                    cannot_read(found, error)


def _digest(path: Path) -> bytes | None:
    """SHA-256 of a file that is a tip or a piece of one, else None."""
    with path.open("rb") as file:
        start = file.read(len(_MAGICS[0]))
        if start not in _MAGICS:
            return None
        if path.stat().st_size > LARGEST_POUCHED:
            return b"large" + str(path).encode()  # alone: the server takes it or says that it is too large
        digest = hashlib.sha256(start)
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.digest()


def _pouched(path: Path, value: dict[str, Any]) -> Pouched:
    """What the server says. NetworkFailed when it makes no sense."""
    try:
        fate, count = value["fate"], value["count"]
        ranges = [(int(first), int(size)) for first, size in value["missing"]]
        tip, stored = value["tip"], value["stored"]
    except (KeyError, TypeError, ValueError) as error:
        raise _nonsense() from error
    good = fate in _FATES and isinstance(tip, str) and isinstance(stored, bool) and type(count) is int
    if (
        not good
        or not 0 <= count <= _MOST_PIECES
        or any(not 0 <= first < first + size <= count for first, size in ranges)
    ):
        raise _nonsense()
    missing = tuple(number + 1 for first, size in ranges for number in range(first, first + size))
    return Pouched(path, fate, tip, count, missing, stored)


def _nonsense() -> TipboxError:
    return NetworkFailed("carrying: an answer that makes no sense; is this the address for couriers?")


def to_json(result: Pouched) -> dict[str, Any]:
    """For scripts."""
    return {"fate": result.fate, "file": str(result.path), "stored": result.stored}
