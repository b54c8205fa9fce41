"""No circuit takes what belongs to the others: one asks without end, on many streams, and everybody else is served."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from faults import flood
from faults.flood import KINDS
from support.client import Client, bearer
from support.sealed import Organisation, Sent, envelope, keys_folder
from support.server import Server, running, start
from support.world import environment
from tipbox.server.process.circuits import MOST_IN_FLIGHT, NEW_CONNECTIONS

STREAMS = 16
PATIENCE = 30
"""Seconds for which an honest source waits for one answer; the flood goes on for longer."""
ALIVE = 10
"""Seconds within which a worker must show that it lives; the master waits for 120."""
RUN = 8


@pytest.fixture(name="server", scope="module")
def _server(organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("flooded")
    keys = keys_folder(folder / "keys", organisations)
    server = start(folder / "home", keys, unix=True, settings={"server_workers": "2"})
    try:
        yield server
        assert "fault" not in server.log.read_text()
        assert "TIMEOUT" not in server.log.read_text()
    finally:
        server.kill()


@contextmanager
def flooded(server: Server, kind: str) -> Iterator[subprocess.Popen[str]]:
    """One circuit asks on STREAMS streams, by a process of its own."""
    process = subprocess.Popen(
        (sys.executable, flood.__file__, server.address, kind, str(STREAMS)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    try:
        with process:
            assert process.stdout.readline() == "begun\n"
            yield process
            assert process.poll() is None, "the flood was over before"
            process.stdin.close()  # type: ignore[union-attr]
            assert json.loads(process.stdout.read())["bytes_sent"] > 0
    finally:
        process.kill()


def patient(server: Server) -> Client:
    """A source on a circuit of its own."""
    client = server.client()
    client.line.settimeout(PATIENCE)
    return client


def begun(client: Client, organisations: list[Organisation]) -> Sent:
    """An upload under way: a run of it is there."""
    sent = envelope(organisations, 3 * RUN * 65_536)
    assert client.open(sent).status == 201
    assert client.put(sent, 0, RUN).status == 200
    return sent


@pytest.mark.parametrize("kind", KINDS)
def test_everybody_else_is_served_beside_one_that_asks_without_end(
    server: Server, organisations: list[Organisation], kind: str
) -> None:
    text = envelope(organisations)
    with patient(server) as uploading:
        sent = begun(uploading, organisations)
        with flooded(server, kind):
            with patient(server) as visiting:
                assert visiting.request("GET", "/en/").status == 200
            with patient(server) as writing:
                assert writing.open(text).json == {"state": "stored"}
            for first in (RUN, 2 * RUN):
                assert uploading.put(sent, first, RUN).status == 200
            rest = len(sent.parts) - 3 * RUN
            assert rest == 0 or uploading.put(sent, 3 * RUN, rest).status == 200
            assert uploading.finish(sent).json == {"state": "stored"}


def test_workers_show_that_they_live_beside_one_that_asks_without_end(server: Server) -> None:
    oldest = 0.0
    with flooded(server, "404"):
        until = time.monotonic() + ALIVE + 2
        while time.monotonic() < until:
            oldest = max(oldest, *(_silent(worker) for worker in server.workers()))
            time.sleep(0.2)

    assert oldest < ALIVE


def test_connections_that_gave_way_while_their_requests_waited_are_gone(
    organisations: list[Organisation], tmp_path: Path
) -> None:
    """Else those of a few circuits, each of which costs a byte, take all places of a worker."""
    settings = {"server_workers": "1", "server_connections": "64"}
    keys = keys_folder(tmp_path / "keys", organisations)
    with running(tmp_path / "home", keys, unix=True, settings=settings) as server, ExitStack() as opened:

        def another(circuit: str, body: bytes | None, length: int = -1) -> None:
            client = opened.enter_context(Client(server, circuit))
            client.send("PUT", "/api/envelope", body, bearer(envelope(organisations).token), length)

        for circuit in ("fc00:dead:beef:4dad::1:1", "fc00:dead:beef:4dad::1:2", "fc00:dead:beef:4dad::1:3"):
            for _ in range(MOST_IN_FLIGHT):  # these are read, and do not come
                another(circuit, None, 1000)
            for _ in range(NEW_CONNECTIONS - MOST_IN_FLIGHT):
                another(circuit, b"")
        begun = time.monotonic()
        with patient(server) as writing:
            assert writing.open(envelope(organisations)).json == {"state": "stored"}
        assert time.monotonic() - begun < PATIENCE / 2


def test_a_visitor_is_served_when_two_hundred_circuits_leave_at_once(
    server: Server, organisations: list[Organisation]
) -> None:
    """All of them are in the middle of what they asked for."""
    asked = KINDS["404"] * STREAMS
    with ExitStack() as opened:
        for number in range(200):
            for _ in range(4):
                line = opened.enter_context(server.connect())
                line.sendall(f"PROXY TCP6 fc00:dead:beef:4dad::2:{number:x} ::1 225 80\r\n".encode() + asked)
        opened.close()
        with patient(server) as writing:
            assert writing.open(envelope(organisations)).json == {"state": "stored"}


def _silent(worker: psutil.Process) -> float:
    """Seconds since a worker touched the file by which the master sees that it lives."""
    for descriptor in Path(f"/proc/{worker.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if "wgunicorn" in str(descriptor.readlink()):
                # By the clock that gunicorn writes there.
                return time.clock_gettime(time.CLOCK_MONOTONIC) - descriptor.stat().st_mtime
    raise AssertionError("the worker has no such file")
