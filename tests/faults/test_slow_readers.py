"""Whoever asks and reads nothing costs a bounded piece of memory, and it comes back."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sealed import Organisation, envelope, keys_folder, three
from support.server import Server, start
from tipbox.resources import static_dir

READERS = 300
PIPELINED = 8
"""Requests of each, of the largest file: more than the socket takes."""
BYTES_EACH = 48_000
"""Memory that a connection whose answer is not read may cost, and that of a page before and after."""


@pytest.fixture(name="organisations", scope="module")
def _organisations() -> list[Organisation]:
    return three()


@pytest.fixture(name="server")
def _server(organisations: list[Organisation], tmp_path: Path) -> Iterator[Server]:
    server = start(tmp_path / "home", keys_folder(tmp_path / "keys", organisations), unix=True)
    yield server
    server.kill()


def test_those_who_read_nothing_cost_little_memory(server: Server, organisations: list[Organisation]) -> None:
    largest = max(static_dir().iterdir(), key=lambda path: path.stat().st_size)
    asked = f"GET /static/{largest.name} HTTP/1.1\r\nHost: tipbox\r\n\r\n".encode() * PIPELINED
    (worker,) = server.workers()
    with server.client() as client:  # what is loaded with the first requests is not a reader's
        assert client.request("GET", f"/static/{largest.name}").status == 200
        assert client.open(envelope(organisations)).status == 201
    before = worker.memory_info().rss
    lines: list[socket.socket] = []
    try:
        for number in range(READERS):
            line = server.connect()
            lines.append(line)
            line.sendall(f"PROXY TCP6 fc00:dead:beef:4dad::1:{number:x} ::1 225 80\r\n".encode() + asked)
        _until_blocked(lines)
        cost = (worker.memory_info().rss - before) / READERS
        with server.client() as client:
            assert client.open(envelope(organisations)).json == {"state": "stored"}
    finally:
        for line in lines:
            line.close()

    assert cost < BYTES_EACH


def _until_blocked(lines: list[socket.socket]) -> None:
    """Until each has as much as it takes without reading: what waits in it grows no more."""
    limit = time.monotonic() + 120
    before: list[int] = []
    while (waiting := [_waiting(line) for line in lines]) != before:
        assert time.monotonic() < limit
        before = waiting
        time.sleep(1)


def _waiting(line: socket.socket) -> int:
    """Bytes that wait to be read, as many as one look shows."""
    return len(line.recv(1 << 20, socket.MSG_PEEK))
