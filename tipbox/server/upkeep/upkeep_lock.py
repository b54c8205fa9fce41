"""What settles, backs up or restores HOME does so alone: one such command at a time, beside a running server."""

from __future__ import annotations

from contextlib import AbstractContextManager

from tipbox.files.lock import exclusive
from tipbox.server.home import Home


def alone(home: Home) -> AbstractContextManager[None]:
    """Wait for the other command, then keep others out."""
    return exclusive(home.upkeep, mode=home.file_mode)
