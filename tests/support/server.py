"""A server for tests: the real gunicorn process, or the application called in place."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from sqlalchemy import Connection, select

from support.client import Client, bearer
from support.loopback import free_port, until
from support.sealed import Sent
from tipbox.server.config import Config, load
from tipbox.server.home import Home
from tipbox.server.process.run import master, prepare_server
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.models import Envelope, Reply, Run
from tipbox.server.storage.transactions import Store
from tipbox.server.web.app import STORE, create_app

T = TypeVar("T")
BOOT_SECONDS = 180


def alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def named_blobs(connection: Connection) -> set[str]:
    """Every blob that a row names."""
    columns = (Run.blob, Envelope.blob, Reply.blob)
    found = {blob for column in columns for blob in connection.execute(select(column)).scalars()}
    return {blob for blob in found if blob is not None}


@dataclass
class Server:
    """A running server. ``address``: what a socket connects to."""

    home: Path
    keys: Path
    address: Any
    process: subprocess.Popen[bytes]
    log: Path
    courier: Path | None = None

    @property
    def unix(self) -> bool:
        return isinstance(self.address, str)

    @property
    def config(self) -> Config:
        return load(self.home)

    def read(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` reads from the database."""
        engine = make_engine(Home(self.home), self.config)
        try:
            return Store(engine).read(work)
        finally:
            engine.dispose()

    def workers(self) -> list[psutil.Process]:
        return [child for child in psutil.Process(self.process.pid).children() if child.is_running()]

    def connect(self, address: Any = None) -> socket.socket:
        address = address or self.address
        line = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        line.settimeout(120)
        try:
            line.connect(address)
        except OSError:
            line.close()
            raise
        return line

    def client(self, circuit: str | None = None) -> Client:
        """A connection over a circuit of its own, or over the one named."""
        return Client(self, circuit or f"fc00:dead:beef:4dad::{secrets.randbits(16):x}:{secrets.randbits(16):x}")

    def couriers(self) -> Client:
        """A connection to the couriers' listener."""
        assert self.courier is not None
        return Client(self, address=str(self.courier))

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def kill(self) -> None:
        """kill -9 for the master and its workers."""
        if self.process.poll() is not None:
            return
        workers = self.workers()
        self.process.kill()
        self.process.wait(10)
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        until(lambda: not any(alive(worker) for worker in workers))

    def wait(self) -> None:
        """Until it answers."""
        limit = time.monotonic() + BOOT_SECONDS
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                with self.client() as client:
                    client.request("GET", "/leave")
            except OSError:
                assert time.monotonic() < limit, self.log.read_text()
                time.sleep(0.05)
            else:
                return


def start(
    home: Path,
    keys: Path,
    *,
    unix: bool = False,
    courier: bool = False,
    settings: dict[str, str] | None = None,
    release: Path | None = None,
) -> Server:
    """Start the server as the command does, and wait until it answers.

    Args:
        home: its folder.
        keys: manifests.
        unix: on a unix socket, else on the loopback.
        courier: with a couriers' socket.
        settings: ``{"quota_drafts": "1"}``.
        release: a folder with another version's package.
    """
    address: Any = str(home.parent / f"{home.name}.sock") if unix else ("127.0.0.1", free_port())
    bind = f"unix:{address}" if unix else f"127.0.0.1:{address[1]}"
    courier_path = home.parent / f"{home.name}.courier" if courier else None
    courier_bind = f"unix:{courier_path}" if courier_path else None
    log = home.parent / f"{home.name}.log"
    with pytest.MonkeyPatch.context() as patch, log.open("ab") as output:
        for name, value in {"server_workers": "1", **(settings or {})}.items():
            patch.setenv(f"TIPBOX_{name.upper()}", value)
        if release is None:
            # In this process, which has loaded all of it already.
            umask = os.umask(0o077)
            try:
                prepare_server(home, keys)
            finally:
                os.umask(umask)
            command, environment = master(home, [bind, *([courier_bind] if courier_bind else [])])
        else:
            code = (
                "from pathlib import Path; from tipbox.server.process.run import run_server; "
                f"run_server(Path({str(home)!r}), Path({str(keys)!r}), {bind!r}, {courier_bind!r})"
            )
            command, environment = [sys.executable, "-c", code], dict(os.environ)
        process = subprocess.Popen(
            command, cwd=release, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    server = Server(home, keys, address, process, log, courier_path)
    try:
        server.wait()
    except BaseException:
        server.kill()
        raise
    return server


class Here:
    """A server's folder without a process: the application is called in place."""

    def __init__(self, home: Path, keys: Path) -> None:
        config = prepare_server(home, keys)
        self.home = home
        self.keys = keys
        app = create_app(Home(home), config)
        self._store: Store = app.extensions[STORE]
        self._client = app.test_client()

    def read(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` reads from the database."""
        return self._store.read(work)

    def upload(self, *envelopes: Sent) -> None:
        """Store Envelopes."""
        for sent in envelopes:
            self.open(sent)
            for first in range(0, len(sent.parts), 64):
                self.put(sent, first, 64)
            if sent.parts:
                self.call("POST", "/finish", sent.end, sent)

    def open(self, sent: Sent) -> None:
        self.call("PUT", "", sent.start, sent)

    def put(self, sent: Sent, first: int, count: int = 1) -> None:
        self.call("PUT", f"/parts/{first}", b"".join(sent.parts[first : first + count]), sent)

    def call(self, method: str, path: str, body: bytes, sent: Sent) -> None:
        answer = self._client.open(f"/api/envelope{path}", method=method, data=body, headers=bearer(sent.token))
        assert answer.status_code in {200, 201}, answer.data

    def refused(self, method: str, path: str, body: bytes, sent: Sent) -> int:
        """With which status a request of this upload is answered; nothing of it is kept here."""
        return self._client.open(path, method=method, data=body, headers=bearer(sent.token)).status_code

    def close(self) -> None:
        self._store.engine.dispose()


@contextmanager
def running(*arguments: Any, **settings: Any) -> Iterator[Server]:
    server = start(*arguments, **settings)
    try:
        yield server
    finally:
        server.kill()
