"""Stores over TLS: what goes to them goes to the machine whose name the certificate has, and to no other."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask

from stores.certificates import certify, expire
from support.loopback import free_port, until
from support.sealed import keys_folder, three
from support.services import service
from tipbox.errors import InputRefused, NetworkFailed
from tipbox.server.config import Blobs, Config, Limits
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.blobs import S3Blobs
from tipbox.server.web.rates import Rates

CERTIFICATE = (
    "its certificate is not accepted: it has expired, is of another name, or of an authority that is not known here"
)
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


@contextmanager
def tls_server(folder: Path, name: str, hello: bytes) -> Iterator[int]:
    """The port of a server with the certificate of a name; after ``hello``, in the clear, it begins with TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")

    def serve() -> None:
        with suppress(OSError):
            while True:
                line = listener.accept()[0]
                with suppress(OSError), line:
                    if hello:
                        line.recv(8)
                        line.sendall(hello)
                    context.wrap_socket(line, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("fault", ["another name", "expired", "an unknown authority"])
def test_a_certificate_that_is_not_taken_is_told_as_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Not as a store that does not answer: at night, an operator would look for it in vain."""
    name = "other.example" if fault == "another name" else "localhost"
    certify(tmp_path, NAMES)
    if fault == "expired":
        expire(tmp_path, name)
    authority = (folder if fault == "an unknown authority" else tmp_path) / "ca.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with tls_server(tmp_path, name, b"S") as port:
        url = f"postgresql://x:hunter2@localhost:{port}/tips?sslmode=verify-full&sslrootcert={authority}"
        monkeypatch.setenv("TIPBOX_DATABASE_URL", url)
        with pytest.raises(InputRefused, match=CERTIFICATE) as raised:
            prepare_server(tmp_path / "home", keys_folder(tmp_path / "keys", three()))
    assert "hunter2" not in str(raised.value)
    with tls_server(tmp_path, name, b"") as port:
        settings = {
            "url": "s3://bucket/x",
            "endpoint": f"https://localhost:{port}",
            "access_key": "a",
            "secret_key": "b",
        }
        with pytest.raises(NetworkFailed, match=CERTIFICATE):
            S3Blobs(tmp_path, Blobs.model_validate(settings)).size("0" * 32)
