"""Debian trees, one private Tor network, one set of wheels: made once for this folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.machine import RELEASES, copied, network_namespace, server_trees
from support.commands import Done
from support.once import once
from support.world import ROOT, Ring

ORGANISATION: Final = "kibhr"
SIGNER: Final = "tipbox"


@dataclass(frozen=True)
class Kit:
    """What an operator has on the stick: wheels with their lock, signed, and who signs."""

    wheel: Path
    server: Path
    key: Path
    signers: Path


@dataclass
class TorNetwork:
    """The network's program, in the machines' namespace."""

    namespace: str
    process: subprocess.Popen[str]
    joining: str = ""
    socks: str = ""

    def answer(self) -> Any:
        """Its next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the Tor network has ended"
        return json.loads(line)

    def courier(self, name: str, key: str) -> str:
        """The SOCKS port of a client that holds a courier's private key."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name} {key}\n")
        self.process.stdin.flush()
        return str(self.answer()["socks"])

    def tipbox(self, *arguments: str | Path, expect: int = 0) -> Done:
        """Run a command of ours where the network is."""
        inside = ("ip", "netns", "exec", self.namespace, sys.executable, "-m", "tipbox")
        done = subprocess.run(
            (*inside, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def new_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """A new tree of a Debian, by its version, with what a server has."""
    folder = tmp_path_factory.mktemp("trees")
    trees = server_trees(tmp_path_factory)
    yield lambda version: copied(trees[version], folder / RELEASES[version])
    subprocess.run(("rm", "-rf", folder), check=False)


@pytest.fixture(scope="session")
def namespace() -> Iterator[str]:
    """The network of all machines."""
    with network_namespace() as name:
        yield name


@pytest.fixture(scope="session")
def tor(namespace: str) -> Iterator[TorNetwork]:
    """The private Tor network, in the machines' namespace."""
    program = Path(__file__).with_name("tor_network.py")
    process = subprocess.Popen(
        ("ip", "netns", "exec", namespace, sys.executable, program),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    network = TorNetwork(namespace, process)
    try:
        stands = network.answer()
        network.joining, network.socks = stands["joining"], stands["socks"]
        yield network
    finally:
        process.communicate(timeout=60)


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """Wheels for the server, as deploy/airgap-kit.sh makes them."""
    folder = once(tmp_path_factory, "kit", _make_all)
    (wheel,) = (folder / "dist").glob("*.whl")
    return Kit(wheel, folder / "server", folder / "key", folder / "signers")


def _make_all(folder: Path) -> None:
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", ROOT)
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / "key"), check=True)
    (folder / "signers").write_text(f"{SIGNER} {(folder / 'key.pub').read_text()}")
    make_kit("server", folder / "server", wheel, folder / "key")


def make_kit(role: str, out: Path, wheel: Path, key: Path, *more: str | Path) -> str:
    """Run airgap-kit.sh; what it said."""
    command = (ROOT / "deploy" / "airgap-kit.sh", "--for", role, "--out", out, "--wheel", wheel, "--sign", key, *more)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Ring:
    """One organisation with its desk."""
    folder = once(tmp_path_factory, "organisation", lambda folder: Ring(folder, (ORGANISATION,)).make())
    return Ring(folder, (ORGANISATION,))
