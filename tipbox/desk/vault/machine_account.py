"""The account of this machine that works on a vault."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

_ACCOUNTS: Final = Path("/etc/passwd")


@cache
def account() -> str:
    """Its name, or its number when it has none."""
    # Read here: the module pwd asks the system's name services, and opens a socket to them.
    user = str(os.getuid())
    with suppress(OSError):
        for line in _ACCOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, number, *_ = [*line.split(":"), "", "", ""]
            if number == user:
                return name
    return user
