"""Ports of this machine, and waiting for what comes up on them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that are free now, none of them twice."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free now."""
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
