"""Runs one command and says what it took: as a program of its own, so that the peak memory is the command's alone.

The kernel counts memory that a process had before `exec` as well: started from pytest, every command would seem to
need what pytest needs. This program is started in between and is small.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """Of one command: seconds by the clock, seconds of processor, and peak resident memory in MB (10^6 bytes)."""

    seconds: float
    cpu: float
    peak_mb: float


def measure(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Cost:
    """Run a command that must succeed."""
    done = subprocess.run(
        (sys.executable, "-I", "-S", __file__, *map(str, command)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}"
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def quiet_disk() -> None:
    """Have everything on disk that waits for it, so that no run pays for the one before."""
    os.sync()


def _main(command: list[str]) -> int:
    """Run the command, then print its cost as one line of JSON."""
    begun = time.perf_counter()
    child = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - begun
    print(
        json.dumps(
            {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss * 1024 / 1e6}
        )
    )
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
