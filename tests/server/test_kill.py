"""kill -9 at each write in turn, by strace: nothing acknowledged is lost, nothing comes twice."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from support.client import Client
from support.loopback import until
from support.sealed import Organisation, Sent, envelope, keys_folder
from support.server import Server, alive, named_blobs, start
from tipbox.server.storage.models import Draft, Envelope
from tipbox.server.upkeep.prune import prune_server

STORED = {"state": "stored"}
EACH = range(1, 40)
SOME = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)
"""Of calls that come in dozens: each one near the begin, then further apart."""


@pytest.fixture(name="server", scope="module")
def _server(organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker; its master starts another one whenever it is killed."""
    folder = tmp_path_factory.mktemp("server")
    server = start(folder / "home", keys_folder(folder / "keys", organisations), unix=True)
    yield server
    server.kill()


@contextmanager
def killed_at(server: Server, call: str, number: int) -> Iterator[None]:
    """SIGKILL for the worker at the ``number``-th call of one of its threads to the system call ``call``."""
    (worker,) = server.workers()
    inject = f"inject={call}:signal=KILL:when={number}"
    options = ("-f", "-e", f"trace={call}", "-e", inject, "-o", "/dev/null", "-p", str(worker.pid))
    tracer = subprocess.Popen(("strace", *options), stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        assert "attached" in tracer.stderr.readline()
        yield
    finally:
        if alive(worker):  # it lets the worker go; with a killed one it waits for ever
            tracer.send_signal(signal.SIGINT)
        else:
            tracer.kill()
        try:
            tracer.wait(20)
        except subprocess.TimeoutExpired:  # the worker was dying, and not dead yet
            tracer.kill()
            tracer.wait(60)
        tracer.stderr.close()


def upload(client: Client, sent: Sent) -> str:
    """The whole way; the state or error of the last answer, or what cut the line."""
    try:
        answer = client.open(sent)
        for first in range(0, len(sent.parts), 3):
            if answer.json == STORED:  # by a request whose answer was lost
                break
            answer = client.put(sent, first, 3)
        if answer.json != STORED:
            answer = client.finish(sent)
    except OSError as error:
        return type(error).__name__
    return str(answer.json.get("error") or answer.json["state"])


def stored(server: Server, sent: Sent) -> bytes:
    row = server.read(
        lambda connection: connection.execute(
            select(Envelope.header, Envelope.letter, Envelope.blob, Envelope.trailer).where(Envelope.id == sent.id)
        ).one()
    )
    body = (server.home / "blobs" / row[2]).read_bytes() if row[2] else b""
    return bytes(row[0] + row[1] + body + row[3])


def counted(server: Server, table: type[Draft | Envelope]) -> int:
    return server.read(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one())


@pytest.mark.parametrize(
    ("size", "call", "numbers"),
    [
        (0, "pwrite64", SOME),
        (0, "fdatasync", EACH),
        (320_000, "openat", SOME),
        (320_000, "write", SOME),
        (320_000, "pwrite64", SOME),
        (320_000, "fsync", EACH),
        (320_000, "fdatasync", EACH),
        (320_000, "unlink", EACH),
    ],
    ids=lambda value: str(value) if isinstance(value, int | str) else "",
)
def test_each_write_in_turn(
    server: Server, organisations: list[Organisation], size: int, call: str, numbers: Sequence[int]
) -> None:
    kills = 0
    for number in numbers:
        sent = envelope(organisations, size)
        before = counted(server, Envelope)
        (worker,) = server.workers()
        with killed_at(server, call, number), server.client() as client:
            answered = upload(client, sent)
        if alive(worker):
            assert answered == "stored"
            break
        kills += 1
        if answered == "stored":
            assert stored(server, sent) == sent.whole
        until(lambda: len(server.workers()) == 1)
        server.wait()
        with server.client() as client:
            assert upload(client, sent) == "stored"
        assert stored(server, sent) == sent.whole
        assert counted(server, Envelope) == before + 1
        assert counted(server, Draft) == 0
    else:
        pytest.fail("the upload never came through")

    prune_server(server.home)
    left = {path.name for path in (server.home / "blobs").iterdir()}
    assert left == server.read(named_blobs)
    assert kills


def test_the_sweep_at_the_start_removes_what_a_crash_left(organisations: list[Organisation], tmp_path: Path) -> None:
    keys = keys_folder(tmp_path / "keys", organisations)
    server = start(tmp_path / "home", keys)
    sent = envelope(organisations, 320_000)
    with server.client() as client:
        client.open(sent)
        client.put(sent, 0, 2)
    server.kill()
    orphan = tmp_path / "home" / "blobs" / ("f" * 32)
    orphan.write_bytes(b"no row names this")

    server = start(tmp_path / "home", keys)
    try:
        assert not orphan.exists()
        with server.client() as client:
            assert upload(client, sent) == "stored"
        assert stored(server, sent) == sent.whole
    finally:
        server.kill()
