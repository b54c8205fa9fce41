"""Whoever asks and reads nothing costs a bounded piece of memory, and it comes back."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.loopback import until
from support.sealed import Organisation, envelope, keys_folder
from support.server import Server, running, start
from tipbox.resources import static_dir
from tipbox.server.web.courier_api import LEAST_RANGE, MOST_READERS

READERS = 300
PIPELINED = 8
"""Requests of each, of the largest file: more than the socket takes."""
BYTES_EACH = 48_000
"""Memory that a connection whose answer is not read may cost, and that of a page before and after."""
BYTES_OF_A_COURIER = 600_000
"""The same, of a courier who asked for a volume (docs/operator-guide.md)."""


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


def test_couriers_who_read_nothing_cost_little_memory(organisations: list[Organisation], tmp_path: Path) -> None:
    """Each holds a block of a volume, and all of them together its index."""
    home, keys = tmp_path / "home", keys_folder(tmp_path / "keys", organisations)
    name = organisations[0].name
    with running(home, keys, unix=True, courier=True, settings={"server_workers": "1"}) as server:
        with server.client() as client:
            assert client.upload(envelope(organisations, 16_000_000)).json == {"state": "stored"}
        with server.couriers() as courier:
            (volume,) = courier.request("GET", f"/courier/bundles/{name}").json["volumes"]
            path = f"/courier/bundles/{name}/{volume['name']}"
            assert courier.request("GET", path, None, {"Range": "bytes=0-999999"}).status == 206
        (worker,) = server.workers()
        before = worker.memory_info().rss
        with ExitStack() as opened:
            readers = [opened.enter_context(server.couriers()) for _ in range(MOST_READERS)]
            for reader in readers:
                reader.send("GET", path)
            _until_blocked([reader.line for reader in readers])
            cost = (worker.memory_info().rss - before) / MOST_READERS
            with server.couriers() as courier:
                assert courier.request("GET", path).error == (429, "slow-down")
                assert courier.request("GET", "/courier/bundles").status == 200
        until(lambda: _has(server, path))

    assert cost < BYTES_OF_A_COURIER


def _has(server: Server, path: str) -> bool:
    with server.couriers() as courier:
        return courier.request("GET", path, None, {"Range": f"bytes=0-{LEAST_RANGE - 1}"}).status == 206


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
