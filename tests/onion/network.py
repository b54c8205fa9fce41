"""A private Tor network on loopback, from Debian's tor: three authorities, two relays, a service and a client.

Nothing leaves this machine: every tor is bound to 127.0.0.1, and no relay lets anything out. A network is made by
``private_network``; the onion services on it come from ``deploy/tor``, as the deployed ones do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from support.loopback import free_ports
from support.world import ROOT

AUTHORITIES: Final = 3
RELAYS: Final = 2
PATIENCE: Final = 400.0
_TEMPLATES: Final = ROOT / "deploy" / "tor"
_COMMON: Final = """\
TestingTorNetwork 1
Address 127.0.0.1
DataDirectory {folder}
PidFile {folder}/pid
Log notice file {folder}/log
RunAsDaemon 0
ShutdownWaitLength 0
PathsNeededToBuildCircuits 0.67
FetchDirInfoEarly 1
VanguardsLiteEnabled 0
__OwningControllerProcess {owner}
"""
_RELAY: Final = """\
Nickname {name}
ORPort 127.0.0.1:{port}
SocksPort 0
ExitRelay 0
ExitPolicy reject *:*
AssumeReachable 1
ServerDNSAllowBrokenConfig 1
ServerDNSDetectHijacking 0
ContactInfo none
"""
_AUTHORITY: Final = """\
DirPort 127.0.0.1:{directory}
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
TestingV3AuthInitialVotingInterval 5
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
V3AuthVotingInterval 20
V3AuthVoteDelay 2
V3AuthDistDelay 2
TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
"""


@dataclass
class Tor:
    """One tor process in a folder of its own."""

    folder: Path
    text: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; what it says goes to its log."""
        (self.folder / "torrc").write_text(self.text)
        self.process = subprocess.Popen(
            ("tor", "-f", self.folder / "torrc", "--defaults-torrc", _empty(self.folder), "--hush"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def log(self) -> str:
        """What it has said so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def end(self) -> None:
        """Ask it to end."""
        if self.process is not None:
            self.process.terminate()

    def stop(self) -> None:
        """End it."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


@dataclass
class Network:
    """A network that stands, and what is needed to join it."""

    folder: Path
    directory_lines: str
    """What names the authorities to a tor of this network."""
    client: Tor
    socks_port: int
    tors: list[Tor] = field(default_factory=list)

    @property
    def socks(self) -> str:
        """The client's SOCKS port as commands take it."""
        return f"127.0.0.1:{self.socks_port}"

    @property
    def joining(self) -> str:
        """The lines by which any other tor joins this network as a client."""
        return (
            "TestingTorNetwork 1\nPathsNeededToBuildCircuits 0.67\nFetchDirInfoEarly 1\nVanguardsLiteEnabled 0\n"
            + self.directory_lines
        )

    def join(self, name: str, text: str) -> Tor:
        """Start another tor of this network."""
        tor = _make(self.folder, name, text + self.directory_lines)
        self.tors.append(tor)
        tor.start()
        return tor

    def serve(self, name: str, services: Mapping[str, Path], authorized: str | None = None) -> dict[str, str]:
        """Start a tor with onion services; gives back their addresses.

        Args:
            name: of the tor.
            services: a template of deploy/tor (``sources``, ``couriers``, ``plain``) and the unix socket behind it.
            authorized: the line for couriers' ``authorized_clients``.
        """
        folder = self.folder / name
        text = "SocksPort 0\n"
        for service, behind in services.items():
            template = (_TEMPLATES / f"{service}.torrc").read_text()
            text += template.replace("@DIRECTORY@", str(folder / service)).replace("@SOCKET@", str(behind))
            (folder / service / "authorized_clients").mkdir(parents=True, mode=0o700)
            (folder / service).chmod(0o700)
        if authorized is not None:
            (folder / "couriers" / "authorized_clients" / "courier.auth").write_text(authorized + "\n")
        tor = self.join(name, text)
        hosts = {service: folder / service / "hostname" for service in services}
        wait(lambda: all(path.exists() and path.read_text().endswith("\n") for path in hosts.values()), tor)
        return {service: f"http://{path.read_text().strip()}" for service, path in hosts.items()}


def wait(condition: object, tor: Tor, patience: float = PATIENCE) -> None:
    """Until ``condition()`` holds; the log of ``tor`` says why not."""
    assert callable(condition)
    deadline = time.monotonic() + patience
    while not condition():
        assert tor.process is not None
        assert tor.process.poll() is None, f"tor ended: {tor.log[-3000:]}"
        assert time.monotonic() < deadline, f"tor is not ready: {tor.log[-3000:]}"
        time.sleep(0.1)


def _make(parent: Path, name: str, text: str) -> Tor:
    folder = parent / name
    folder.mkdir(mode=0o700, exist_ok=True)
    return Tor(folder, _COMMON.format(folder=folder, owner=os.getpid()) + text)


def _empty(folder: Path) -> Path:
    """A file in place of the system's own defaults."""
    path = folder / "empty"
    path.touch()
    return path


def _certify(folder: Path, port: int) -> str:
    """Make an authority's keys; its identity's fingerprint."""
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    done = subprocess.run(
        ("tor-gencert", "--create-identity-key", "-m", "12", "-a", f"127.0.0.1:{port}", "--passphrase-fd", "0"),
        cwd=keys,
        input=b"only for a test\n",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"^fingerprint ([0-9A-F]{40})$", (keys / "authority_certificate").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def _fingerprint(folder: Path, name: str, ports: tuple[int, int]) -> str:
    """The relay fingerprint of a tor that is not started yet."""
    options = ("--DataDirectory", folder, "--ORPort", str(ports[0]), "--Nickname", name, "--ContactInfo", "none")
    alone = ("--hush", "-f", _empty(folder), "--defaults-torrc", _empty(folder))
    done = subprocess.run(("tor", *alone, *options, "--list-fingerprint"), capture_output=True, text=True, check=False)
    fingerprint = done.stdout.strip().rpartition(f"{name} ")[2].replace(" ", "")
    assert len(fingerprint) == 40, done.stdout + done.stderr
    return fingerprint


@contextmanager
def private_network() -> Iterator[Network]:
    """A network with a client that is ready."""
    folder = Path(tempfile.mkdtemp(prefix="tipbox-tor-"))
    tors: list[Tor] = []
    try:
        ports = free_ports(2 * AUTHORITIES + RELAYS + 1)
        lines = ""
        for number in range(AUTHORITIES):
            name, pair = f"authority{number}", (ports[2 * number], ports[2 * number + 1])
            made = _make(folder, name, _RELAY.format(name=name, port=pair[0]) + _AUTHORITY.format(directory=pair[1]))
            identity = _certify(made.folder, pair[1])
            fingerprint = _fingerprint(made.folder, name, pair)
            lines += (
                f"DirAuthority {name} orport={pair[0]} no-v2 v3ident={identity} 127.0.0.1:{pair[1]} {fingerprint}\n"
            )
            tors.append(made)
        for number in range(RELAYS):
            name = f"relay{number}"
            tors.append(_make(folder, name, _RELAY.format(name=name, port=ports[2 * AUTHORITIES + number])))
        client = _make(folder, "client", f"SocksPort 127.0.0.1:{ports[-1]}\n")
        tors.append(client)
        network = Network(folder, lines, client, ports[-1], tors)  # what joins later ends with it too
        for tor in tors:
            tor.text += lines
            tor.start()
        wait(lambda: "Bootstrapped 100%" in client.log, client)
        yield network
    finally:
        for tor in tors:
            tor.end()
        for tor in tors:
            tor.stop()
        shutil.rmtree(folder, ignore_errors=True)
