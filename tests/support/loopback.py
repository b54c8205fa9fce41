"""Ports of this machine, and waiting for what comes up on them."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

# Below the ports that Linux gives to whoever connects (ip(7), ip_local_port_range): nobody gets one of these by chance
# between the moment it was found free and the moment a server listens there.
_BLOCK: Final = 64
_BLOCKS: Final = range(10_048, 32_768, _BLOCK)
_taken: list[socket.socket] = []
"""What holds this process's blocks of ports against other tests of this machine, for as long as it lives."""


def _blocks() -> Iterator[int]:
    """First ports of blocks that no other process of this network namespace has."""
    for first in random.sample(_BLOCKS, len(_BLOCKS)):
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0tipbox-tests-ports-{first}")
        except OSError:
            holder.close()
        else:
            _taken.append(holder)
            yield first


def _ports() -> Iterator[int]:
    for first in _blocks():
        for port in range(first, first + _BLOCK):
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            yield port


_free: Final = _ports()


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that are free, and are given to nobody again."""
    return list(islice(_free, count))


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free, and is given to nobody again."""
    return free_ports(1)[0]


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for something that is about to happen."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.02)


def takes_calls(path: Path) -> bool:
    """Whether a process listens at this UNIX socket: its file is there a moment before that."""
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(str(path)) == 0
