"""Files that are whole or not there, also after a power cut: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from tipbox.files.plain_file import refuse_special

TEMPORARY_SUFFIX = ".part"
SEALED_MODE: Final = 0o644
"""Of sealed files that travel on a stick: on a file system with owners the next machine's user is another one."""
_FOLDER_MODE: Final = 0o755
WRITE_BUFFER: Final = 512 * 1024
"""Bytes that are written at a time. Less costs the kernel more for each, and for more it looks for larger pages than a
machine has that is busy with files."""


def fsync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    fsync_file(folder, os.O_DIRECTORY)


def fsync_file(path: Path, flags: int = 0) -> None:
    """Make what is in a file durable, whoever wrote it; ``flags`` are added to those that it is opened with."""
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_stick_folder(folder: Path) -> None:
    """Make the folder for files that travel, so that the next machine's user can read it; one that is there stays."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        folder.chmod(_FOLDER_MODE)  # whatever the umask, which is strict where secrets are made


@contextmanager
def replacing(path: Path, mode: int = 0o600, *, sync: bool = True) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` when the block ends well, and leaves nothing if not.

    It has exactly ``mode``: what is public can be read by others although secrets are made under a strict umask.
    Without ``sync`` a power cut soon afterwards may take the file; nothing but what can be made again is written so.

    Raises:
        InputRefused: ``path`` is a device, a pipe or a socket, which would be gone.
    """
    with suppress(OSError):  # it is not there, as a rule
        refuse_special(path)
    # In the same folder, for a rename is atomic within one file system only.
    temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb", buffering=WRITE_BUFFER) as file:
            os.fchmod(descriptor, mode)  # the umask has taken bits away when it was made
            yield file
            file.flush()
            # Before the rename: else a power cut can leave the new name with none of its bytes.
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        fsync_folder(path.parent)  # the rename itself


def write_file(path: Path, data: bytes | Iterable[bytes], mode: int = 0o600) -> None:
    """Write ``path`` durably and whole."""
    with replacing(path, mode) as file:
        for chunk in [data] if isinstance(data, bytes) else data:
            file.write(chunk)
