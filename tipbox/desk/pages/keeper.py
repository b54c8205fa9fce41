"""Keeps the pages: starts what serves them and the browser that shows them, and ends both at the lock.

This process holds no key and sees no word. What does is a process of its own, which ends at the lock, and the browser
is killed with it: what neither of them has in memory any more, nobody finds there. Then both are started anew.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tipbox.desk.pages import netless
from tipbox.desk.pages.browser_window import end_all_children, start_browser
from tipbox.errors import Bug

TOKEN: Final = 32
"""Bytes of the token that one unlocking spends."""
_WORKER: Final = "from tipbox.desk.pages.page_worker import main; main()"
_SHORTEST: Final = 5.0
"""Seconds that a session takes which was no failure to start."""
_FAILURES: Final = 3


@dataclass(frozen=True)
class Settings:
    """What the pages are started with: ``minutes`` without a person until they lock, ``language`` of their texts."""

    vault: Path
    minutes: float
    language: str


def keep(settings: Settings, browser: str) -> None:
    """Serve the pages until the browser's window is closed. It never returns to any network.

    Raises:
        NoNamespace: this machine does not allow a network of one's own.
        Bug: the pages do not start.
    """
    netless.enter()
    netless.adopt_orphans()
    with _folder() as folder:
        failures = 0
        while failures < _FAILURES:
            begun = time.monotonic()
            if _session(settings, browser, folder):
                return
            failures = failures + 1 if time.monotonic() - begun < _SHORTEST else 0
        raise Bug(f"showing the pages: they ended {_FAILURES} times as soon as they had begun")


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for what lies in memory."""
    folder = Path(tempfile.mkdtemp(prefix="tipbox-"))
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()


def _session(settings: Settings, browser: str, folder: Path) -> bool:
    """From one unlocking to the lock; whether a person closed the window, and so wants no other."""
    netless.mount_memory(folder)
    try:
        token = secrets.token_urlsafe(TOKEN)
        worker, port = start_worker(settings, token, scratch=folder)
        if not port:
            return False
        profile = folder / "profile"
        profile.mkdir(mode=0o700)
        window = start_browser(browser, f"http://127.0.0.1:{port}/#{token}", profile)
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == window.pid:
                return os.waitstatus_to_exitcode(status) == 0
            if pid == worker.pid:
                return False
    finally:
        end_all_children()
        netless.unmount(folder)


def start_worker(settings: Settings, token: str, *, scratch: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start what serves the pages, locked; its process and its port, or 0 when it ended before it had one.

    Args:
        settings: for the pages.
        token: what unlocking them once takes.
        scratch: a folder for temporary files, which lies in memory.
    """
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(scratch)},
        start_new_session=True,
    )
    assert worker.stdin is not None  # noqa: S101 (both are pipes)
    assert worker.stdout is not None  # noqa: S101
    # By a pipe: what stands on a command line, everybody on this machine can read.
    given = {
        "language": settings.language,
        "minutes": settings.minutes,
        "token": token,
        "vault": str(settings.vault),
    }
    with worker.stdin as stdin:
        stdin.write(json.dumps(given).encode() + b"\n")
    with worker.stdout as stdout:
        port = stdout.readline()
    return worker, int(port) if port.strip().isdigit() else 0
