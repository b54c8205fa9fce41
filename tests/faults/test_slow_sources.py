"""Slow and idle connections do not hold up a fast source; a greedy circuit loses its own connections first."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from faults import load
from faults.cutting_proxy import CuttingProxy
from faults.load import Counts
from faults.sending import send
from faults.stored import rows
from support.world import Ring, World, environment, running_world
from tipbox.server.process.circuits import MOST_CONNECTIONS

SLOW, IDLE, RATE = 500, 2000, 5000
FAST_SIZE = 8_000_000


class LoadProcess:
    """The load generator, running."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def counts(self) -> Counts:
        """What it has seen so far; the first call waits until all of its connections stand."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Counts(**json.loads(self._process.stdout.readline()))

    @contextmanager
    def still(self) -> Iterator[None]:
        """Within the block nothing of the load is sent, as on a line that stands still; what was due comes after it."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextmanager
def loaded(world: World, *options: str) -> Iterator[LoadProcess]:
    """The load generator against a world's unix socket."""
    path = world.server.bind.removeprefix("unix:")
    process = subprocess.Popen(
        (sys.executable, load.__file__, path, "--manifests", world.keys, *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        with process:
            yield LoadProcess(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(60) == 0
    finally:
        process.kill()


def _circuits() -> Iterator[bytes]:
    """Tor's line for one circuit after the other."""
    for number in count(1):
        yield f"PROXY TCP6 fc00:dead:beef:4dad:ffff::{number:x} ::1 2 80\r\n".encode()


@contextmanager
def as_tor(world: World) -> Iterator[CuttingProxy]:
    """What the onion service does: each connection goes to the unix socket on a circuit of its own."""
    lines, one = _circuits(), threading.Lock()

    def line() -> bytes:
        with one:
            return next(lines)

    with CuttingProxy(world.server.bind.removeprefix("unix:"), prefix=line) as proxy:
        yield proxy


def _fast_source_is_served(world: World, folder: Path) -> None:
    data = random.Random(3).randbytes(FAST_SIZE)
    (folder / "message").write_text("быстрый")
    (folder / "photo.jpg").write_bytes(data)
    with as_tor(world) as tor:
        sent = send(tor.url, world.keys, folder / "message", [folder / "photo.jpg"])
    assert sent.tip in rows(world.server.home)
    (opened,) = [tip for tip in world.arrived("fidh") if tip.facts["id"] == sent.tip]
    assert opened.files["photo.jpg"].read_bytes() == data


def test_500_slow_sources_and_2000_idle_connections_leave_a_fast_source_served(world: World, tmp_path: Path) -> None:
    with loaded(world, "--slow", str(SLOW), "--idle", str(IDLE), "--rate", str(RATE)) as process:
        before = process.counts()
        assert (before.slow_begun, before.slow_refused) == (SLOW, 0)
        _fast_source_is_served(world, tmp_path)
        after = process.counts()
    assert after.slow_open == SLOW, "a slow source lost its connection"
    assert after.slow_bytes > before.slow_bytes, "the slow sources stood still"
    assert after.slow_stored == 0, "the fast source was not served while the slow ones sent"
    assert after.idle_open >= IDLE * 9 // 10, "idle connections were not held"


ATTACKS = {"-H": 800, "-B": 500, "-X": 700}
"""What Debian's slowhttptest sends: slow heads, slow bodies, slow readers; and over how many connections each."""


def test_slowhttptest_leaves_a_fast_source_served(ring: Ring, tmp_path: Path) -> None:
    with running_world(ring, tcp=True) as world, ExitStack() as stack:
        url = f"http://{world.server.bind}/send"
        for attack, connections in ATTACKS.items():
            options = ("-c", str(connections), "-r", "400", "-i", "10", "-p", "20", "-l", "600")
            process = subprocess.Popen(
                ("slowhttptest", attack, *options, "-u", url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
        _until(lambda: _all_sockets(world) > sum(ATTACKS.values()) // 2)
        data = random.Random(4).randbytes(FAST_SIZE)
        (tmp_path / "message").write_text("быстрый")
        (tmp_path / "photo.jpg").write_bytes(data)
        sent = send(f"http://{world.server.bind}", world.keys, tmp_path / "message", [tmp_path / "photo.jpg"])
        assert sent.tip in rows(world.server.home)
        assert _all_sockets(world) > sum(ATTACKS.values()) // 3, "the attack was over before"


CAP = 200
GREEDY = 1000
OWN = 8


@pytest.fixture
def small(ring: Ring) -> Iterator[World]:
    """A server that holds few connections."""
    with running_world(ring, settings={"TIPBOX_SERVER_CONNECTIONS": str(CAP), "TIPBOX_SERVER_WORKERS": "1"}) as world:
        yield world


def test_a_greedy_circuit_does_not_crowd_out_a_fast_source(small: World, tmp_path: Path) -> None:
    with loaded(small, "--idle", str(GREEDY), "--one-circuit") as process:
        assert process.counts().idle_made >= GREEDY
        _until(lambda: _sockets(small) >= MOST_CONNECTIONS)
        held = [_sockets(small)]
        _fast_source_is_served(small, tmp_path)
        held.append(_sockets(small))
        assert process.counts().idle_made >= GREEDY
    assert max(held) <= CAP + OWN, "the worker holds more connections than it may"


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _sockets(world: World) -> int:
    """How many sockets the one worker has open: connections, its listener, and a few of its own."""
    _, worker = world.server.pids()
    return _sockets_of(worker)


def _all_sockets(world: World) -> int:
    """The same of all workers."""
    return sum(map(_sockets_of, world.server.pids()[1:]))


def _sockets_of(worker: int) -> int:
    held = 0
    for descriptor in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(FileNotFoundError):
            held += str(descriptor.readlink()).startswith("socket:")
    return held
