"""Organisations, a server and desks for end-to-end tests, by the real commands and nothing else.

Making key material is slow (Argon2id), so a run makes it once (`ring`) and each test works on copies (`world`).
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from support.clock import same
from support.commands import Done
from support.loopback import free_port

ROOT: Final = Path(__file__).resolve().parents[2]
TIPBOX: Final = Path(sys.executable).with_name("tipbox")
CIRCUIT: Final = "fc00:dead:beef:4dad::0:e1"
"""What Tor's circuit line says; one value stands for one circuit."""
MANY_SOURCES: Final = {"TIPBOX_LIMITS_OPENINGS": "1000000"}
"""In tests one circuit stands for many sources."""
NAMES: Final = {
    "fidh": ("International Federation for Human Rights", "FR", ("en", "fr")),
    "ili": ("International Legal Initiative", "KZ", ("kk", "ru")),
    "kibhr": ("Казахстанское бюро по правам человека", "KZ", ("kk", "ru")),
}
"""Three organisations: full name, country, languages."""


def environment(**more: str) -> dict[str, str]:
    """What a command finds in its environment: nothing of the tester's but the ways to programs and temp files."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | same() | {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"} | more


def tipbox(*arguments: str | Path, expect: int | None = 0, timeout: float = 600) -> Done:
    """Run one command to its end.

    Args:
        arguments: what follows `tipbox`.
        expect: the exit code that it must have; None takes any.
        timeout: seconds.
    """
    done = subprocess.run(
        (TIPBOX, *arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        timeout=timeout,
        check=False,
    )
    assert expect in (None, done.returncode), f"tipbox {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Desk:
    """One organisation: its vault (with key stick and identity beside it) and what its staff does."""

    name: str
    folder: Path

    @property
    def vault(self) -> Path:
        return self.folder / "vault"

    @property
    def secret(self) -> Path:
        """The file with the passphrase that locks the vault."""
        return self.folder / "passphrase"

    def run(self, command: str, *arguments: str | Path, expect: int | None = 0) -> Done:
        """`tipbox desk COMMAND` on this vault."""
        return tipbox(
            "desk", command, "--vault", self.vault, "--passphrase-file", self.secret, *arguments, expect=expect
        )

    def make(self) -> None:
        """Make the vault and a year of keys."""
        full_name, country, languages = NAMES[self.name]
        self.folder.mkdir(parents=True)
        self.secret.write_text(f"{self.name} keeps six quiet words here\n")
        self.secret.chmod(0o600)
        tipbox(
            *("keys", "init", "--vault", self.vault, "--org", self.name, "--passphrase-file", self.secret),
            *("--name", full_name, "--country", country),
            *(argument for language in languages for argument in ("--language", language)),
        )

    def publish(self, keys: Path) -> Path:
        """Write a manifest that is good now into the folder `keys`."""
        out = keys / f"{self.name}.json"
        tipbox("keys", "publish", "--vault", self.vault, "--out", out, "--passphrase-file", self.secret)
        return out

    def take(self, *paths: Path, expect: int | None = 0) -> Done:
        """Import bundles or `.tip` files; the vault counts as its own second copy."""
        return self.run("import", "--copies", "1", *paths, expect=expect)

    def tips(self) -> list[dict[str, Any]]:
        """What the desk lists."""
        listed = self.run("list", "--json").json
        assert isinstance(listed, list)
        return listed

    def open(self, tip: str, out: Path) -> OpenedTip:
        """Open a tip into the folder `out`."""
        self.run("show", tip, "--out", out)
        return OpenedTip(out)

    def outbox(self, out: Path) -> Path:
        """Write the inward bundle to `out`."""
        self.run("outbox", "--out", out)
        return out

    def reply(self, tip: str, text: str, *files: Path) -> dict[str, Any]:
        """Seal a reply to the source of a tip; the next outbox carries it."""
        with tempfile.NamedTemporaryFile() as message:
            message.write(text.encode())
            message.flush()
            done = self.run("reply", tip, "--message-file", message.name, *files, "--json").json
        assert isinstance(done, dict)
        return done

    def thread(self, tip: str) -> list[dict[str, Any]]:
        """What the source of a tip and this organisation have said, in the order of days."""
        messages = self.run("thread", tip, "--json").json["messages"]
        assert isinstance(messages, list)
        return messages


@dataclass(frozen=True)
class OpenedTip:
    """What `desk show` wrote."""

    folder: Path

    @property
    def message(self) -> bytes:
        return (self.folder / "message.txt").read_bytes()

    @property
    def facts(self) -> dict[str, Any]:
        facts = json.loads((self.folder / "tip.json").read_bytes())
        assert isinstance(facts, dict)
        return facts

    @property
    def files(self) -> dict[str, Path]:
        """Path of each file by the name that the source gave it."""
        return {file["name"]: self.folder / file["path"] for file in self.facts["files"]}


@dataclass(frozen=True)
class Ring:
    """Organisations and the folder of their manifests."""

    folder: Path
    names: tuple[str, ...] = tuple(NAMES)

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def desks(self) -> dict[str, Desk]:
        return {name: Desk(name, self.folder / name) for name in self.names}

    def make(self) -> Ring:
        """Make all vaults, and publish a manifest of each."""
        self.keys.mkdir(parents=True)
        for desk in self.desks.values():
            desk.make()
            desk.publish(self.keys)
        return self

    def copy(self, folder: Path) -> Ring:
        """The same organisations in another folder, as they were when the session began."""
        shutil.copytree(self.folder, folder)
        return Ring(folder, self.names)


@dataclass
class Server:
    """A `tipbox server run` in the foreground of a process of its own, on a unix socket or a TCP port."""

    home: Path
    keys: Path
    bind: str
    log: Path
    more: dict[str, str] = field(default_factory=dict)
    courier: Path | None = None
    """The couriers' socket, when it listens for them."""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        couriers = () if self.courier is None else ("--courier-bind", f"unix:{self.courier}")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                (TIPBOX, "server", "run", "--home", self.home, "--keys", self.keys, "--bind", self.bind, *couriers),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(**self.more),
                start_new_session=True,
            )
        deadline = time.monotonic() + 180
        while True:
            assert self.process.poll() is None, f"the server ended: {self.log.read_text()}"
            try:
                status, _, _ = self.request("GET", "/")
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline, f"the server does not answer: {self.log.read_text()}"
                time.sleep(0.05)
                continue
            assert status == 303
            return

    def pids(self) -> list[int]:
        """The master and its workers, those that live."""
        assert self.process is not None
        try:
            master = psutil.Process(self.process.pid)
            return [master.pid, *(child.pid for child in master.children(recursive=True))]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        """End it as an operator would."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def kill(self) -> None:
        """End it as a power cut would: `kill -9` for the master and each worker."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
        self.process = None

    def connect(self, circuit: str = CIRCUIT) -> socket.socket:
        """A connection as Tor makes it: with a circuit line on a unix socket, bare on TCP."""
        if self.bind.startswith("unix:"):
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                line.connect(self.bind.removeprefix("unix:"))
                line.sendall(f"PROXY TCP6 {circuit} ::1 225 80\r\n".encode())
            except OSError:
                line.close()
                raise
            return line
        host, _, port = self.bind.rpartition(":")
        line = socket.create_connection((host, int(port)))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        circuit: str = CIRCUIT,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on one connection: status, headers in lower case, body."""
        connection = http.client.HTTPConnection("localhost", timeout=240)
        connection.sock = self.connect(circuit)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def run(self, command: str, *arguments: str | Path, expect: int | None = 0) -> Done:
        """`tipbox server COMMAND` on this home."""
        return tipbox("server", command, "--home", self.home, *arguments, expect=expect)

    def export(self, to: str, out: Path) -> list[Path]:
        """Write the volumes for an organisation into the folder `out`, which is made."""
        out.mkdir(parents=True, exist_ok=True)
        self.run("export", "--to", to, "--out", out)
        return sorted(out.glob(f"{to}-*.bundle"))


@dataclass
class World:
    """Three organisations, their server, and a folder for what goes between them."""

    folder: Path
    ring: Ring
    server: Server

    @property
    def desks(self) -> dict[str, Desk]:
        return self.ring.desks

    @property
    def keys(self) -> Path:
        return self.ring.keys

    def scratch(self, name: str) -> Path:
        """A path that nothing else uses."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def carry(self, to: str) -> list[Path]:
        """Export for one organisation and import on its desk; gives back the volumes."""
        volumes = self.server.export(to, self.scratch("out"))
        self.desks[to].take(*volumes)
        return volumes

    def arrived(self, to: str) -> list[OpenedTip]:
        """Carry to one organisation, and open each tip that it then lists."""
        self.carry(to)
        desk = self.desks[to]
        return [desk.open(tip["id"], self.scratch("tip") / "opened") for tip in desk.tips()]

    def answer(self, *names: str) -> list[Path]:
        """Write the outbox of each desk and let the server import it; gives back the bundles."""
        bundles = [self.desks[name].outbox(self.scratch("in") / f"{name}.bundle") for name in names]
        self.server.run("import", *bundles)
        return bundles

    def accepted(self) -> set[str]:
        """Full names of the organisations, as pages show them."""
        return {NAMES[name][0] for name in self.ring.names}


@contextmanager
def running_world(
    ring: Ring, *, tcp: bool = False, courier: bool = False, settings: dict[str, str] | None = None
) -> Iterator[World]:
    """A world with its server running, in a folder of its own with a short path (unix sockets want that).

    Args:
        ring: organisations to copy.
        tcp: bind to a TCP port in place of a unix socket.
        courier: listen for couriers too.
        settings: the server's configuration as environment variables.
    """
    folder = Path(tempfile.mkdtemp(prefix="tipbox-"))
    try:
        bind = f"127.0.0.1:{free_port()}" if tcp else f"unix:{folder}/web.sock"
        copied = ring.copy(folder / "ring")
        server = Server(folder / "home", copied.keys, bind, folder / "server.log", MANY_SOURCES | (settings or {}))
        server.courier = folder / "courier.sock" if courier else None
        try:
            server.start()
            yield World(folder, copied, server)
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()  # at once: stopping in order has tests of its own
    finally:
        shutil.rmtree(folder, ignore_errors=True)
