"""Cut lines and killed servers: what was acknowledged is there, once, and bit-exact.

Faults come at exact places: after so many bytes that a client has sent, at a request that the proxy sees, at the n-th
system call of a kind. Where a place is drawn by chance, the seed is printed.
"""

from __future__ import annotations

import os
import random
import secrets
import select
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from faults.cutting_proxy import CuttingProxy, Fault, Watch
from faults.sending import ROOMY, Upload, sealed, send
from faults.stored import blobs, rows
from faults.tracing import traced
from support.commands import commands_in_process
from support.world import Ring, Server, World, running_world
from tipbox.formats.base.limits import HASH_SIZE
from tipbox.net import http as line_module
from tipbox.net.http import Connection
from tipbox.source.upload import Upload as Sender

CUTS = KILLS = 20
LARGE = 50 * 1000 * 1000


@pytest.fixture
def seed(record_property: Callable[[str, object], None]) -> int:
    """A new seed for each run; it is printed, and shown again when the test fails."""
    drawn = secrets.randbits(32)
    print(f"seed {drawn}")  # noqa: T201 (that is how a failure is repeated)
    record_property("seed", drawn)
    return drawn


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client within this process pauses for a short while only before it tries again, and does not give up."""
    monkeypatch.setattr(line_module, "FIRST_CONTACT_SECONDS", line_module.RETRY_SECONDS)
    monkeypatch.setattr(line_module, "_FIRST_PAUSE", 0.05)
    monkeypatch.setattr(line_module, "_LONGEST_PAUSE", 0.4)


@pytest.fixture
def listening(ring: Ring) -> Iterator[World]:
    """A server on a TCP port; it comes back on the same one."""
    with running_world(ring, tcp=True, settings=ROOMY) as world, commands_in_process():
        yield world


def _port(server: Server) -> int:
    return int(server.bind.rpartition(":")[2])


@dataclass
class Killer:
    """Kills the server's whole process group with SIGKILL and starts it again on the same port."""

    server: Server
    count: int = 0
    _one: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> None:
        with self._one:
            self.server.kill()
            self.server.start()
            self.count += 1


def _source_sends(url: str, upload: Upload) -> None:
    """What `tipbox source send` does once it has sealed."""
    with Connection(url) as line:
        _send_by(Sender(line), upload)


def _send_by(sender: Sender, upload: Upload) -> None:
    if not upload.parts:
        sender.send_text(upload.head)
        return
    sender.send_parts(upload.head, iter(upload.parts), lambda _: None)
    sender.finish(upload.end[:HASH_SIZE], upload.end[HASH_SIZE:])


def _assert_stored_once(world: World, uploads: Sequence[Upload], contents: dict[str, dict[str, bytes]]) -> None:
    """Each Envelope is there once, no body but theirs is, and a desk opens them all bit-exact."""
    stored = rows(world.server.home)
    assert sorted(stored) == sorted(upload.id for upload in uploads)
    world.server.run("prune")
    assert len(blobs(world.server.home)) == sum(row.has_blob for row in stored.values())
    world.carry("ili")
    desk = world.desks["ili"]
    assert sorted(tip["id"] for tip in desk.tips()) == sorted(stored)
    for ident, files in contents.items():
        opened = desk.open(ident, world.scratch("opened") / "tip")
        assert {name: path.read_bytes() for name, path in opened.files.items()} == files


def test_a_large_upload_survives_20_cuts_and_20_kills(listening: World, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    data = chance.randbytes(LARGE)
    (tmp_path / "video.mp4").write_bytes(data)
    (tmp_path / "message").write_text("пятьдесят мегабайт")
    kill = Killer(listening.server)
    with CuttingProxy(_port(listening.server)) as proxy:
        for at in chance.sample(range(1, LARGE), CUTS):
            proxy.plan(Fault(at))
        for at in chance.sample(range(1, LARGE), KILLS):
            proxy.plan(Fault(at, kill, "kill"))
        sent = send(proxy.url, listening.keys, tmp_path / "message", [tmp_path / "video.mp4"])
        assert [fault.name for fault in proxy.done].count("cut") == CUTS
        assert kill.count == KILLS
    assert set(rows(listening.server.home)) == {sent.tip}
    (opened,) = listening.arrived("kibhr")
    assert opened.message.decode() == "пятьдесят мегабайт"
    assert opened.files["video.mp4"].read_bytes() == data
    listening.server.run("prune")
    assert len(blobs(listening.server.home)) == 1


FINISH = b"POST /api/envelope/finish"
ROUNDS = {"before it arrives": 3, "while it is done": 6, "before its answer arrives": 3}


@pytest.mark.parametrize("moment", ROUNDS)
def test_a_kill_at_finish_loses_nothing_and_doubles_nothing(listening: World, moment: str, seed: int) -> None:
    chance = random.Random(seed)
    kill = Killer(listening.server)
    uploads, contents = [], {}
    with CuttingProxy(_port(listening.server)) as proxy:
        armed = threading.Event()

        def at_finish() -> bool:
            if not armed.is_set():
                return True
            armed.clear()
            if moment == "before it arrives":
                kill()
                return False
            # The request goes on by a way of its own, so that the moment of the kill does not depend on the proxy.
            line = listening.server.connect()
            line.sendall(request.encode() + upload.end)
            if moment == "before its answer arrives":
                assert line.recv(64).startswith(b"HTTP/1.1 200")
            kill()
            line.close()
            return False

        proxy.watch(Watch(FINISH, at_finish))
        for _ in range(ROUNDS[moment]):
            data = chance.randbytes(chance.randrange(1, 300_000))
            upload = sealed(listening.keys, b"finish", [("data", data)])
            with Connection(proxy.url) as line:
                sender = Sender(line)
                request = f"{FINISH.decode()} HTTP/1.1\r\nHost: tipbox\r\nContent-Length: {len(upload.end)}\r\n"
                request += f"Authorization: {sender._headers['Authorization']}\r\n\r\n"
                armed.set()
                _send_by(sender, upload)
            assert not armed.is_set()
            assert upload.id in rows(listening.server.home)
            uploads.append(upload)
            contents[upload.id] = {"data": data}
    assert kill.count == ROUNDS[moment]
    _assert_stored_once(listening, uploads, contents)


# --- system calls that write, by chance; each of them in turn is in tests/server/test_kill.py -------------------------

SYSCALLS = ("fsync", "fdatasync", "ftruncate", "unlink", "sendto", "pwrite64", "write")
TRIALS = 60 if "EVERY_POINT" in os.environ else 5


@contextmanager
def _only(server: Server, worker: int) -> Iterator[None]:
    """All connections go to one worker, until it dies: the others stand still and go on at that moment."""
    others = [pid for pid in server.pids()[1:] if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)

    def go_on() -> None:
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def wait(death: int) -> None:
        select.select([death, stop], [], [])
        go_on()

    death = os.pidfd_open(worker)
    stop, stopped = os.pipe()
    watching = threading.Thread(target=wait, args=(death,))
    watching.start()
    try:
        yield
    finally:
        os.close(stopped)
        watching.join()
        os.close(stop)
        os.close(death)


@dataclass
class Crashing:
    """A server, one of whose workers is killed at the n-th call of a kind; another takes over."""

    world: World
    folder: Path
    uploads: list[Upload] = field(default_factory=list)
    contents: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def upload_with_a_kill(self, syscall: str, when: int, size: int, chance: random.Random) -> bool:
        """Send an Envelope by a client that tries again under the same token; whether the kill came."""
        server = self.world.server
        data = chance.randbytes(size)
        upload = sealed(self.world.keys, b"kill", [("data", data)] if size else [])
        worker = min(server.pids()[1:], key=lambda pid: psutil.Process(pid).create_time())  # it has surely begun
        dying = psutil.Process(worker)
        out = self.folder / f"{syscall}-{when}-{len(self.uploads)}"
        inject = ("-f", "-e", f"trace={syscall}", "-e", f"inject={syscall}:signal=KILL:when={when}")
        with traced([worker], inject, out), _only(server, worker):
            _source_sends(f"http://{server.bind}", upload)
        killed = "killed by SIGKILL" in out.read_text()
        if killed:  # its master notices in its own time
            psutil.wait_procs([dying], timeout=120)
        assert killed == (worker not in server.pids())
        self.uploads.append(upload)
        self.contents[upload.id] = {"data": data} if size else {}
        assert set(rows(server.home)) >= {upload.id}
        return killed


@pytest.fixture
def crashing(ring: Ring, tmp_path: Path) -> Iterator[Crashing]:
    with running_world(ring, tcp=True, settings=ROOMY | {"TIPBOX_SERVER_WORKERS": "3"}) as world, commands_in_process():
        yield Crashing(world, tmp_path)


def test_kills_at_random_calls(crashing: Crashing, seed: int) -> None:
    chance = random.Random(seed)
    # One that surely comes: chance alone may choose only calls that are not made so often.
    assert crashing.upload_with_a_kill("pwrite64", 1, 70_000, chance)
    for _ in range(TRIALS - 1):
        syscall = chance.choice(SYSCALLS)
        size = chance.choice((0, 1, 70_000, 500_000))
        crashing.upload_with_a_kill(syscall, chance.randrange(1, 20), size, chance)
        if chance.random() < 0.25:
            Killer(crashing.world.server)()
    _assert_stored_once(crashing.world, crashing.uploads, crashing.contents)
