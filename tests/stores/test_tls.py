"""Valkey over TLS: counts go to the machine whose name the certificate has, and to no other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from stores.certificates import certify
from support.loopback import free_port, until
from support.services import service
from tipbox.server.config import Config, Limits
from tipbox.server.web.rates import Rates

NAMES = ("localhost", "other.example")


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    certify(folder, NAMES)
    return folder


@pytest.fixture(name="address")
def _address(request: pytest.FixtureRequest, valkey: str, folder: Path, tmp_path: Path) -> Iterator[str]:
    """Valkey behind the certificate of a name, at localhost."""
    certificate = (folder / f"{request.param}.pem", folder / f"{request.param}.key")
    port = str(free_port())
    program = Path(__file__).with_name("tls_front.py")
    socket = valkey.removeprefix("valkey+unix://")
    asks = ("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", folder / "ca.pem")
    with service(sys.executable, program, "127.0.0.1", port, *certificate, socket, cwd=tmp_path):
        until(lambda: subprocess.run(asks, input=b"", capture_output=True, check=False).returncode == 0, 60)
        yield f"rediss://localhost:{port}"


@pytest.mark.parametrize(("address", "taken"), [(name, name == "localhost") for name in NAMES], indirect=["address"])
def test_a_certificate_of_another_name_is_not_taken(
    address: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *, taken: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    rates = Rates(Flask("line"), Config(limits=Limits(url=address)))

    assert rates._limiter.storage.check() is taken
