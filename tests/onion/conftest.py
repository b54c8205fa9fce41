"""One private Tor network, and one server with both of its onion services on it, for all tests of this folder."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from onion.network import Network, private_network, wait
from support.world import Ring, World, running_world, tipbox

STATE_BUDGET = 20
SETTINGS = {"TIPBOX_SERVER_WORKERS": "1", "TIPBOX_LIMITS_STATE": str(STATE_BUDGET)}


@dataclass
class Onion:
    """A server behind Tor. ``sources``, ``couriers`` and ``plain``: the addresses of its onion services."""

    world: World
    network: Network
    sources: str
    couriers: str
    plain: str
    key: Path
    """Of the courier who is let in."""

    def client(self, user: str, address: str = "") -> httpx.Client:
        """Somebody's Tor Browser, or so: each SOCKS user has circuits of its own."""
        return httpx.Client(
            base_url=address or self.sources,
            proxy=f"socks5://{user}:x@{self.network.socks}",
            timeout=180,
            trust_env=False,
        )

    def stream(self, user: str) -> socket.socket | None:
        """One stream to the sources' service for a SOCKS user, bare; None when Tor refuses it."""
        host = self.sources.removeprefix("http://").encode()
        line = socket.create_connection(("127.0.0.1", self.network.socks_port), timeout=180)
        line.sendall(b"\x05\x01\x02")
        assert line.recv(2) == b"\x05\x02"
        line.sendall(b"\x01" + bytes([len(user)]) + user.encode() + b"\x01x")
        assert line.recv(2) == b"\x01\x00"
        line.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host + (80).to_bytes(2, "big"))
        if line.recv(10)[1:2] == b"\x00":
            return line
        line.close()
        return None

    def courier(self, command: str, *arguments: str | Path, key: Path | None = None, expect: int = 0) -> str:
        """`tipbox courier` with a tor of its own; what it printed, and what it complained about."""
        torrc = self.world.folder / "joining"
        torrc.write_text(self.network.joining)
        words = ("courier", command, self.couriers, "--key", key or self.key, "--torrc", torrc, *arguments)
        done = tipbox(*words, expect=expect, timeout=400)
        return done.out + done.err


@pytest.fixture(scope="package")
def network() -> Iterator[Network]:
    with private_network() as network:
        yield network


@pytest.fixture(scope="package")
def onion(network: Network, ring: Ring, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Onion]:
    key = tmp_path_factory.mktemp("key") / "K"
    tipbox("courier", "keygen", "--out", key)
    authorized = key.with_name("K.pub").read_text().strip()
    plain = key.with_name("plain.sock")
    with running_world(ring, courier=True, settings=SETTINGS | {"TIPBOX_PLAIN_BIND": f"unix:{plain}"}) as world:
        assert world.server.courier is not None
        sockets = {"sources": Path(world.server.bind.removeprefix("unix:")), "couriers": world.server.courier}
        sockets["plain"] = plain
        addresses = network.serve("service", sockets, authorized)
        onion = Onion(world, network, addresses["sources"], addresses["couriers"], addresses["plain"], key)
        _reachable(onion)
        yield onion


def _reachable(onion: Onion) -> None:
    """Until its descriptor is out and a stream stands."""

    def answers() -> bool:
        line = onion.stream("first")
        if line is not None:
            line.close()
        return line is not None

    wait(answers, onion.network.client)
