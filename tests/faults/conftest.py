"""The server on a small disk, for the tests of full disks and of attacks on its room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.cutting_proxy import CuttingProxy
from faults.sending import ROOMY
from faults.small_disk import DISK, Ballast, Tight, disk
from support.commands import commands_in_process
from support.loopback import free_port
from support.world import Ring, Server, World


@pytest.fixture(name="tight")
def _tight(ring: Ring, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Tight]:
    """Its parameter: more settings of the server."""
    copied = ring.copy(tmp_path / "ring")
    settings = {**ROOMY, **getattr(request, "param", {})}
    with disk(tmp_path / "disk", DISK) as place, commands_in_process():
        bind = f"127.0.0.1:{free_port()}"
        server = Server(place / "home", copied.keys, bind, tmp_path / "log", settings, courier=tmp_path / "couriers")
        try:
            server.start()
            yield Tight(World(tmp_path, copied, server), Ballast(place / "ballast"))
        finally:
            server.stop()


@pytest.fixture(name="couriers")
def _couriers(tight: Tight) -> Iterator[CuttingProxy]:
    """The couriers' listener, over TCP."""
    with CuttingProxy(str(tight.world.server.courier)) as proxy:
        yield proxy
