"""Servers of others' making, on loopback or a unix socket, started when a test first asks for them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from support.clock import real
from support.loopback import until


@contextmanager
def service(
    *command: str | Path, cwd: Path, user: str | None = None, end: int = signal.SIGKILL
) -> Iterator[subprocess.Popen[bytes]]:
    """A server of somebody else's, on loopback or a unix socket, by the machine's clock."""
    with (cwd / "output").open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, user=user, cwd=cwd, env=real(),
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(end)
        process.wait(30)


@contextmanager
def scratch(owner: str | None = None) -> Iterator[Path]:
    """A folder with a short path (unix sockets have a limit), of another user when asked."""
    folder = Path(tempfile.mkdtemp(prefix="tipbox-"))
    try:
        if owner:
            shutil.chown(folder, owner)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The socket folder of a PostgreSQL of our own. It refuses to run as root."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    user = "postgres" if os.geteuid() == 0 else None
    with scratch(user) as folder:
        data = folder / "data"
        subprocess.run(
            (programs / "initdb", "--auth=trust", "--username=tipbox", "--encoding=UTF8", "--no-sync", data),
            user=user, cwd=folder, check=True, capture_output=True, env=real(),
        )  # fmt: skip
        options = ("-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}")
        with service(programs / "postgres", "-D", data, *options, cwd=folder, user=user, end=signal.SIGQUIT):
            until(lambda: reachable(folder), 30)
            yield str(folder)


def reachable(folder: Path) -> bool:
    try:
        psycopg.connect(host=str(folder), user="tipbox", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True
