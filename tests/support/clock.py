"""A shifted clock for tests and all that they start: Debian's datefudge, by variables of the environment.

It shifts what programs read as the time of day and nothing else. libfaketime would shift the monotonic clock as well,
by which Python waits: a wait that should end after a second then ends after the shift, or a sleep fails. Times of files
are the kernel's, and stay: a test that compares them with the clock says which day it is. Stores, registries and all
else that is not ours runs by the machine's clock: started with `real`, or in tests that are marked ``real_clock``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

DAY: Final = 86_400
"""Seconds."""
_SHIFT: Final = "DATEFUDGE"
"""Seconds by which the clock is behind."""
_PRELOAD: Final = "LD_PRELOAD"


def shift() -> int:
    """By how many seconds this process lives later."""
    return -int(os.environ.get(_SHIFT, "0"))


def later(seconds: int) -> dict[str, str]:
    """The variables with which a program lives so many seconds later than this process."""
    (library,) = Path("/usr/lib").glob("*/datefudge/datefudge.so")
    return {_PRELOAD: str(library), _SHIFT: str(-shift() - seconds)}


def same() -> dict[str, str]:
    """The variables with which a program lives at the same time as this process, in the same zone."""
    return {name: os.environ[name] for name in (_PRELOAD, _SHIFT, "TZ") if name in os.environ}


def real() -> dict[str, str]:
    """The environment without those variables: for programs that no other clock than the machine's must reach."""
    return {name: value for name, value in os.environ.items() if name not in {_PRELOAD, _SHIFT, "TZ"}}
