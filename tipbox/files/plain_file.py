"""Files as people mean them: bytes that lie somewhere. A pipe keeps its reader waiting, and a device has no end."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

from tipbox.errors import InputRefused

NO_FILE: Final = "this is no file but a device, a pipe or a socket; name a file"


def open_plain(path: Path) -> BinaryIO:
    """Open a file to read.

    Raises:
        InputRefused: it is a device, a pipe or a socket.
        OSError: it is a folder, is not there, or the system does not give it.
    """
    refuse_special(path)  # before it is opened: to open some devices is to do something to them
    file = open(path, "rb", opener=_at_once)  # noqa: SIM115 (Path.open takes no opener)
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise InputRefused(NO_FILE)


def refuse_special(path: Path) -> None:
    """InputRefused when a device, a pipe or a socket has this name; OSError when the system does not say."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputRefused(NO_FILE)


def _at_once(path: str, flags: int) -> int:
    """Whatever took the name meanwhile: to open a pipe is to wait for its writer, unless it is opened so."""
    return os.open(path, flags | os.O_NONBLOCK)
