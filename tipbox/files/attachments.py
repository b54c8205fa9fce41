"""Files to seal: measured first, read once, and refused when they change in between.

Sealing a part again with other bytes under the same key and number would betray both, so a file is never read twice.
"""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from tipbox.errors import InputRefused, LimitExceeded, NotFound
from tipbox.formats.base.limits import MAX_FILES, MAX_MESSAGE, MAX_TYPE
from tipbox.formats.envelopes.letter import FileEntry

_CHANGED: Final = "a file changed while it was being sealed; copy it somewhere safe and seal the copy"


@dataclass(frozen=True)
class Attachment:
    """A file as it was when it was measured."""

    path: Path
    entry: FileEntry
    stamp: tuple[int, int, int, int]


def _stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def measure(paths: Sequence[Path]) -> list[Attachment]:
    """Name, size and type of each file; errors name it by its place among those given.

    Raises:
        LimitExceeded: there are too many.
        NotFound: one is not there.
        InputRefused: one is a folder or a device.
    """
    if len(paths) > MAX_FILES:
        raise LimitExceeded(f"sealing: there are more than {MAX_FILES:,} files; send the rest as a follow-up")
    return [_measure(number, path) for number, path in enumerate(paths, 1)]


def _measure(number: int, path: Path) -> Attachment:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"sealing: file {number} of those named is not there; check its name") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputRefused(f"sealing: file {number} of those named is a folder or a device; name files only")
    # The bytes of the name as UTF-8, whatever the locale: Python keeps what it cannot decode as surrogates.
    name = os.fsencode(path.name).decode(errors="replace")
    kind = mimetypes.guess_type(name, strict=False)[0] or ""
    return Attachment(path, FileEntry(name, status.st_size, kind if len(kind) <= MAX_TYPE else ""), _stamp(status))


def read_once(attachments: Sequence[Attachment]) -> Iterator[tuple[BinaryIO, int]]:
    """Each file, open, with its size; InputRefused when one is not what was measured, before or after it is read."""
    for attachment in attachments:
        with attachment.path.open("rb") as file:
            # Of the open file, not of its name: the name may be another file's by now.
            if _stamp(os.fstat(file.fileno())) != attachment.stamp:
                raise InputRefused(_CHANGED)
            yield file, attachment.entry.size
            if _stamp(os.fstat(file.fileno())) != attachment.stamp:
                raise InputRefused(_CHANGED)


def read_message(path: Path) -> bytes:
    """The bytes of the message.

    Raises:
        LimitExceeded: it is too long for a message.
    """
    try:
        with path.open("rb") as file:
            message = file.read(MAX_MESSAGE + 1)  # one byte more shows that it is too long
    except FileNotFoundError as error:
        raise NotFound("reading the message: its file is not there; check --message-file") from error
    if len(message) > MAX_MESSAGE:
        raise LimitExceeded(f"the message is longer than {MAX_MESSAGE:,} bytes; save it as a file and attach that")
    return message
