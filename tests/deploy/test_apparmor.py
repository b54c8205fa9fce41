"""Each role's AppArmor profile allows what strace sees that role's program do, and not what belongs to another role.

The programs run here, outside of booted machines, in folders that stand for those of an installed server. The kernel
enforces nothing of it: NOT ENFORCED IN ANY TEST.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from deploy.apparmor_profile import profiles
from support.client import Client
from support.loopback import until
from support.sealed import Organisation, envelope, keys_folder
from support.server import Server, running
from support.socks_proxy import running_socks
from support.world import ROOT
from tipbox.formats.canary_list import CanaryList
from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.server.backup.operator_key import make

PROFILE = ROOT / "deploy" / "apparmor" / "tipbox"
ROLES = ("sources", "couriers", "upkeep", "backup", "canary")
ONION = f"http://{'a' * 56}.onion"
CALLS = "trace=%file,connect,bind,flock,fcntl"
_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += +(-?\d+)")
_FLAGS = {"O_RDONLY": "r", "O_WRONLY": "w", "O_RDWR": "rw"}
_NAMING = {"unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "chmod", "fchmodat"}
_NAMING |= {"utimensat", "truncate", "chown", "fchownat", "mknodat", "symlinkat"}


@dataclass(frozen=True, order=True)
class Use:
    """A path, and for what it was used."""

    path: str
    use: str


SERVER_KEY = Use("/var/lib/tipbox/server.key", "r")
REFUSED_ANYWAY: dict[str, set[Use]] = {"sources": {SERVER_KEY}}
"""All run as one user here; on a server the mode of the key refuses the sources' user already."""


@dataclass
class Places:
    """Where an installed server has what lies in ``folder`` here."""

    folder: Path
    keys: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def installed(self, path: str) -> str:
        """A path as it is on an installed server."""
        library = sysconfig.get_path("stdlib")
        path = path.replace("/proc/self/", "/proc/1/")
        for here, there in (
            (f"{ROOT}/.venv", "/opt/tipbox/current"),
            (str(ROOT), "/opt/tipbox/current/lib/python3.11/site-packages"),
            (str(self.home), "/var/lib/tipbox"),
            (str(self.keys), "/etc/tipbox/keys"),
            (f"{self.folder}/operator.key.pub", "/etc/tipbox/operator.pub"),
            (f"{self.folder}/backups", "/var/lib/tipbox-backup"),
            (f"{self.folder}/credentials", "/run/credentials/tipbox-backup.service"),
            (f"{self.folder}/lists", "/var/lib/tipbox-canary/lists"),
            (f"{self.folder}/socks.sock", "/run/tipbox-canary/socks.sock"),
            (f"{self.folder}/sources.sock", "/run/tipbox/sources.sock"),
            (f"{self.folder}/couriers.sock", "/run/tipbox-courier/courier.sock"),
            (library, "/usr/lib/python3.11"),
            (os.path.realpath(sys.executable), "/usr/bin/python3.11"),
            (f"{sys.base_prefix}/lib/", "/usr/lib/"),
        ):
            if path == here.rstrip("/") or path.startswith(here if here.endswith("/") else f"{here}/"):
                return there + path[len(here) :]
        return path


def _uses(trace: Path, places: Places) -> Iterator[Use]:
    """What a trace shows of calls that went well; a path that a descriptor stands for is in ``-y``'s brackets."""
    for line in trace.read_text(errors="replace").splitlines():
        found = _CALL.match(line)
        if not found or int(found[3]) < 0:
            continue
        call, arguments = found[1], found[2]
        names = [
            _absolute(folder, name)
            for folder, name in re.findall(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"', arguments)
        ]
        if call in {"connect", "bind"}:
            named = re.search(r'sun_path="([^"]+)"', arguments)
            uses = [(named[1], "w")] if named else []
        elif call in {"open", "openat", "creat"}:
            access = next((flag for flag in _FLAGS if flag in arguments), "O_WRONLY")
            uses = [(names[0], one) for one in _FLAGS[access]]
            uses += [(names[0], "w")] if "O_CREAT" in arguments and "O_TMPFILE" not in arguments else []
            if "O_TMPFILE" in arguments:
                uses = [(f"{names[0]}/#1", "r"), (f"{names[0]}/#1", "w")]
            elif "O_DIRECTORY" in arguments or Path(names[0]).is_dir():
                uses = [(f"{names[0].rstrip('/')}/", "r")]
        elif call == "execve":
            uses = [(names[0], "x")]
        elif call in {"link", "linkat"}:
            uses = [(names[-1], "l")]
        elif call == "flock" or (call == "fcntl" and "F_SETLK" in arguments):
            named = re.match(r"\d+<([^>]*)>", arguments)
            # A folder's name ends so for AppArmor.
            uses = [(named[1] + ("/" if Path(named[1]).is_dir() else ""), "k")] if named else []
        elif call in _NAMING:
            uses = [
                (name + ("/" if "mkdir" in call or call == "rmdir" or Path(name).is_dir() else ""), "w")
                for name in names
            ]
        else:
            continue
        for path, use in uses:
            yield Use(places.installed(path.removesuffix(" (deleted)")), use)


def _absolute(folder: str, name: str) -> str:
    return name if name.startswith("/") or not folder else f"{folder}/{name}"


@contextmanager
def _traced(places: Places, role: str, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program of a role under strace, with nothing in its environment."""
    out = places.folder / f"{role}.trace"
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TIPBOX_SERVER_WORKERS": "1"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # on a server the program cannot be written to
    program = f"{ROOT}/.venv/bin/tipbox"
    tracer = ("strace", "-f", "-y", "-s", "256", "-e", CALLS, "-e", "signal=none", "-A", "-o", out)
    with (places.folder / f"{role}.log").open("ab") as log:
        process = subprocess.Popen(
            (*tracer, program, *command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd="/"
        )
    try:
        yield process
    finally:
        # Only after a failure it still runs; its tracer would let it go and leave it running.
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
            child.kill()
        process.wait(60)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(str(path)) == 0


def _listener(places: Places, role: str, command: str, visit: Callable[[Client], object]) -> None:
    """A listener, until it has answered a visit."""
    path = places.folder / f"{role}.sock"
    bind = ("--home", places.home, "--keys", places.keys, "--bind", f"unix:{path}")
    with _traced(places, role, "server", command, *bind) as process:
        until(lambda: _answers(path), 300)
        server = Server(places.home, places.keys, str(path), process, places.folder / "log", path)
        with Client(server, "fc00:dead:beef:4dad::1:2" if role == "sources" else None, str(path)) as client:
            visit(client)
        children = psutil.Process(process.pid).children()
        (master,) = (
            one.pid for one in children if "master" in " ".join(one.cmdline())
        )  # the name that it gives itself
        os.kill(master, signal.SIGTERM)
        process.wait(60)


def _canary(places: Places, organisations: list[Organisation]) -> None:
    """A canary, by what stands in Tor's place, to a server of its own."""
    lists = places.folder / "lists"
    lists.mkdir()
    (lists / "desk.canaries").write_bytes(CanaryList(organisations[0].id, (bytes(16), bytes([1]) * 16)).encode())
    to = ("--keys", places.keys, "--lists", lists, "--socks", f"unix:{places.folder}/socks.sock")
    with (
        running(places.folder / "whole", places.keys) as server,
        running_socks(server.address[1], places.folder / "socks.sock"),
        _traced(places, "canary", "server", "canary", ONION, *to) as process,
    ):
        assert process.wait(300) == 0, (places.folder / "canary.log").read_text()


@pytest.fixture(name="seen", scope="module")
def _seen(organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[Use]]:
    """What each role's program used: both listeners with visits, all of upkeep, and a backup with its credentials."""
    folder = tmp_path_factory.mktemp("roles")
    places = Places(folder, keys_folder(folder / "keys", organisations))
    places.home.mkdir()  # as it was made by install.sh
    places.home.chmod(0o2770)
    entries = [SiteEntry.of(one.manifest()).signed_by(one.identity) for one in organisations]
    (places.home / "site.json").write_bytes(SiteList.of("en", entries).encode())
    (places.home / "webcat").mkdir()
    (places.home / "webcat" / "bundle.json").write_bytes(b"{}")
    files = envelope(organisations, 300_000)

    def courier(client: Client) -> None:
        assert client.request("GET", "/courier/bundles").status == 200
        name = organisations[0].name
        volume, *_ = client.request("GET", f"/courier/bundles/{name}").json["volumes"]
        assert client.request("GET", f"/courier/bundles/{name}/{volume['name']}").status == 200
        assert client.request("POST", "/courier/deliver", bytes(100_000)).status == 400

    def source(client: Client) -> None:
        assert client.request("GET", "/en/send").status == 200
        assert client.request("GET", "/.well-known/webcat/bundle.json").status == 200
        assert client.upload(envelope(organisations, message=bytes(100_000))).json == {"state": "stored"}
        assert client.upload(files).json == {"state": "stored"}

    _listener(places, "couriers", "courier", lambda client: client.request("GET", "/courier/bundles"))
    _listener(places, "sources", "run", source)
    _listener(places, "couriers", "courier", courier)
    for upkeep in (("check", "--only", "server"), ("prune",), ("settle",)):
        with _traced(places, "upkeep", "server", *upkeep, "--home", places.home) as process:
            process.wait(300)
    make(folder / "operator.key", None)
    credentials = folder / "credentials"
    credentials.mkdir()
    (folder / "backups").mkdir()
    (places.home / "server.key").rename(credentials / "server.key")
    (places.home / "server.key").write_bytes(b"not to be read")
    for name in ("hostname", "hs_ed25519_secret_key"):
        (credentials / f"onion_sources_{name}").write_text(name)
    to = ("--out", folder / "backups", "--to", folder / "operator.key.pub", "--keep", "7", "--credentials", credentials)
    with _traced(places, "backup", "server", "backup", "--home", places.home, *to) as process:
        assert process.wait(300) == 0, (folder / "backup.log").read_text()
    _canary(places, organisations)
    found = {}
    for role in ROLES:
        found[role] = set(_uses(folder / f"{role}.trace", places))
        assert len(found[role]) > 50, (folder / f"{role}.log").read_text()
    return found


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_does_is_allowed_by_its_profile(seen: dict[str, set[Use]], role: str) -> None:
    profile = profiles(PROFILE)[f"tipbox-{role}"]
    refused = sorted(
        use for use in seen[role] - REFUSED_ANYWAY.get(role, set()) if not profile.allows(use.path, use.use)
    )

    assert not refused, "\n".join(f"{one.use} {one.path}" for one in refused)
    print("AppArmor: compared with what strace saw, NOT ENFORCED IN ANY TEST")  # noqa: T201


FOREIGN: dict[str, list[str]] = {
    "sources": ["/var/lib/tipbox/server.key", "/var/lib/tipbox/outgoing/a/.day", "/run/tipbox-courier/courier.sock"],
    "couriers": ["/run/tipbox/sources.sock", "/run/credentials/tipbox-backup.service/onion"],
    "upkeep": ["/run/tipbox/sources.sock", "/run/tipbox-courier/courier.sock", "/var/lib/tipbox-backup/a.bak"],
    "backup": ["/var/lib/tipbox/server.key", "/run/tipbox/sources.sock", "/var/lib/tipbox-canary/lists/a"],
    "canary": ["/var/lib/tipbox/tipbox.db", "/var/lib/tipbox/server.key", "/run/tipbox/sources.sock"],
}


@pytest.mark.parametrize("role", ROLES)
def test_no_profile_allows_what_belongs_to_another_role(role: str) -> None:
    profile = profiles(PROFILE)[f"tipbox-{role}"]
    assert profile.allows("/etc/passwd", "r")
    for path in (
        *FOREIGN[role],
        "/var/lib/tor/tipbox/hs_ed25519_secret_key",
        "/root/.ssh/id",
        "/etc/shadow",
        "/bin/sh",
    ):
        assert not [use for use in "rwlkxm" if profile.allows(path, use)], path
    assert not profile.allows("/var/lib/tipbox/blobs/a", "x")
    assert role in {"sources", "couriers", "upkeep"} or not profile.allows("/var/lib/tipbox/blobs/a", "w")
