"""Folders in which plaintext is made whole before it gets its name; what a killed command left of them is removed."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn

from tipbox.files.durable import TEMPORARY_SUFFIX
from tipbox.files.lock import exclusive

_LEFT_BEHIND: Final = re.compile(rf"\.[0-9a-f]{{16}}{re.escape(TEMPORARY_SUFFIX)}", re.ASCII)


@contextmanager
def working_folder(parent: Path) -> Iterator[Path]:
    """A new hidden folder in ``parent``, locked while it is in use; move it away, or it is gone in the end.

    Those that a command left here when it was killed are removed first.
    """
    sweep(parent)
    work = parent / f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    work.mkdir(mode=0o700)
    with ExitStack() as stack:
        # Renamed into place, it is no longer there to remove.
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        stack.enter_context(exclusive(work))
        yield work


def _give_up() -> NoReturn:
    raise BlockingIOError


def sweep(parent: Path) -> None:
    """Remove what commands that were killed left in this folder; what is in use stays."""
    for path in [path for path in parent.iterdir() if _LEFT_BEHIND.fullmatch(path.name)]:
        with suppress(OSError), exclusive(path, waiting=_give_up):
            shutil.rmtree(path, ignore_errors=True)
