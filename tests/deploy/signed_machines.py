"""A signed release on machines that are booted: installed, refused in each way, and upgraded to the next one.

``make machines``, in minutes; ``test_signed_release.py`` is the sample in ``make test``, which changes nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from deploy.conftest import Kit
from deploy.machine import RELEASES, Machine, booted, network_namespace
from release.made import Maker
from support.commands import Done
from support.once import once
from support.tree import copy_tree
from support.world import ROOT, Ring
from tipbox import __version__
from tipbox.release.release_list import ReleaseList

pytestmark = pytest.mark.timeout(3600)

NEXT = f"{__version__.rpartition('.')[0]}.{int(__version__.rpartition('.')[2]) + 1}"
LONG = "2100-01-01"
LISTENERS = ("tipbox", "tipbox-courier")
SIGNERS = "/root/signers.json"


@dataclass(frozen=True)
class Releases:
    """Folders of releases, the last one signed, by version; and who signs."""

    maker: Maker
    folders: dict[str, Path]
    signers: Path


@pytest.fixture(name="releases", scope="session")
def _releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """This checkout as this version and as the next one, made and signed as RELEASING.md says."""
    folder = once(tmp_path_factory, "releases", _make)
    maker = Maker(tmp_path_factory.mktemp("signing") / "maintainers")
    made = {version: folder / version for version in (__version__, NEXT)}
    for release in made.values():
        maker.sign(release / "release.json", "aigul", "boris")
    return Releases(maker, made, maker.write_signers(maker.folder.with_name("signers.json")))


def _make(folder: Path) -> None:
    folder.mkdir()
    for version in (__version__, NEXT):
        tree = copy_tree(folder / f"tree-{version}")
        shutil.copytree(ROOT / "client" / "node_modules", tree / "client" / "node_modules", symlinks=True)
        named = tree / "tipbox" / "__init__.py"
        text = named.read_text(encoding="utf-8")
        assert f'"{__version__}"' in text
        named.write_text(text.replace(f'"{__version__}"', f'"{version}"'), encoding="utf-8")
        command = (
            *(sys.executable, "deploy/make_release.py", "--out", folder / version, "--expires", LONG),
            *("--commit", "12" * 20, "--floor", __version__),
        )
        done = subprocess.run(
            command,
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.rmtree(tree)


# --- what is refused --------------------------------------------------------------------------------------------------


def changed(releases: Releases, folder: Path, *names: str, **changes: Any) -> None:
    """Another list of the same release, signed."""
    path = folder / "release.json"
    path.write_bytes(replace(ReleaseList.parse(path.read_bytes()), **changes).encode())
    releases.maker.sign(path, *(names or ("aigul", "boris")))


def one_byte(folder: Path, name: str) -> None:
    path = folder / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def linked(folder: Path) -> None:
    """The right bytes, from elsewhere: who reads them twice may read others the second time."""
    wheel = next(folder.glob("*.whl"))
    wheel.rename(folder.parent / "aside.whl")
    wheel.symlink_to("../aside.whl")


def foreign(_: Releases, folder: Path) -> None:
    """Signatures of somebody else, under the names of maintainers."""
    others = folder.parent / "others"
    shutil.rmtree(others, ignore_errors=True)
    maker = Maker(others)
    maker.sign(folder / "release.json", *maker.names)


Alter = Callable[[Releases, Path], object]
REFUSED: dict[str, tuple[Alter, str]] = {
    "unsigned": (lambda _, folder: shutil.rmtree(folder / "signatures"), "0 of the 2 signatures that"),
    "one of two": (lambda _, folder: (folder / "signatures" / "boris.sig").unlink(), "1 of the 2 signatures that"),
    "somebody else": (foreign, "0 of the 2 signatures that"),
    "a list that was changed": (lambda _, folder: one_byte(folder, "release.json"), "0 of the 2 signatures that"),
    "a wheel that was changed": (
        lambda _, folder: one_byte(folder, next(folder.glob("*.whl")).name), "is not what the maintainers signed",
    ),
    "a page that was changed": (
        lambda _, folder: one_byte(folder, "site/en/index.html"), "index.html is not what the maintainers signed",
    ),
    "a link": (lambda _, folder: linked(folder), "is no file of a release"),
    "a file more": (lambda _, folder: (folder / "site" / "evil.js").write_bytes(b""), "site/evil.js was added to"),
    "expired": (lambda made, folder: changed(made, folder, expires=date(2020, 1, 1)), "expired after 2020-01-01"),
}  # fmt: skip
DOWNGRADED = (
    "is older than the one that runs",
    f"is below {NEXT}, the lowest that",
)


# --- a machine --------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A booted machine with what an operator downloads."""

    machine: Machine
    releases: Releases

    def bring(self, version: str, alter: Alter | None = None) -> None:
        """The folder of a release, as it was signed or altered, and its source unpacked."""
        for there in ("/root/release", "/root/source", "/root/aside.whl"):
            self.machine.run("rm", "-rf", there)
        folder = self.machine.path("/root/release")
        shutil.copytree(self.releases.folders[version], folder)
        source = next(folder.glob("*.tar.gz")).name
        self.machine.run("mkdir", "/root/source")
        self.machine.run(
            "tar", "-xzf", f"/root/release/{source}", "-C", "/root/source", "--strip-components=1", "--no-same-owner"
        )
        if alter:
            alter(self.releases, folder)

    def script(self, name: str, *more: str, expect: int = 0) -> Done:
        options: tuple[str, ...] = ("--release", "/root/release", "--signers", SIGNERS, "--wheelhouse", "/root/kit")
        if name == "install.sh":
            options = (*options, "--keys", "/root/keys", "--operator-key", "/root/operator.pub")
        return self.machine.run(f"/root/source/deploy/{name}", *options, *more, expect=expect)

    def refuses(self, script: str, sentence: str) -> None:
        """It ends with 1 and this sentence, and nothing of the machine is another."""
        before = self.state()
        done = self.script(script, expect=1)
        assert sentence in done.err, (script, sentence, done)
        assert self.state() == before, (script, sentence)

    def state(self) -> str:
        """What is installed, and what runs."""
        folders = (
            "/opt",
            "/etc/systemd/system",
            "/etc/tipbox",
            "/var/lib/tor",
            "/usr/local",
            "/var/lib/tipbox-upgrade",
        )
        listed = self.machine.run("find", *folders, "-printf", "%p %y %l %m %u %s %T@\\n", expect=None).out
        units = self.machine.run("systemctl", "show", "--property=MainPID,ActiveState", *LISTENERS, expect=None).out
        # Tor and the program write beside.
        kept = [line for line in listed.splitlines() if not re.search(r"__pycache__|/var/lib/tor/[^t]", line)]
        return "\n".join([*sorted(kept), units])

    @property
    def runs(self) -> str:
        """The version that runs."""
        return self.machine.path("/opt/tipbox/current").readlink().name.split("-")[0]

    @property
    def is_active(self) -> bool:
        """Whether both listeners answer."""
        return {self.machine.property(f"{unit}.service", "ActiveState") for unit in LISTENERS} == {"active"}

    def verify_installed(self, expect: int) -> Done:
        command = ("/opt/tipbox/current/bin/tipbox", "verify", "--installed", "--release", "/root/release")
        return self.machine.run(*command, "--signers", SIGNERS, expect=expect)


@pytest.fixture(name="server", params=RELEASES, scope="module")
def _server(
    request: pytest.FixtureRequest,
    new_tree: Callable[[str], Path],
    releases: Releases,
    kit: Kit,
    organisation: Ring,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    key = tmp_path_factory.mktemp("operator") / "operator.key"
    subprocess.run((sys.executable, "-m", "tipbox", "server", "backup-key", "--out", key), check=True)
    root = new_tree(request.param)
    with (
        network_namespace(f"tipbox-signed-{os.getpid()}") as namespace,
        booted(request.param, root, namespace) as machine,
    ):
        for source, target in (
            (kit.server, "/root/kit"),
            (organisation.keys, "/root/keys"),
            (key.with_name("operator.key.pub"), "/root/operator.pub"),
            (releases.signers, SIGNERS),
        ):
            machine.put(source, target)
        yield Server(machine, releases)


def test_a_signed_release_is_installed_and_upgraded_and_every_other_one_refused(server: Server) -> None:
    """In the order of a machine's life."""
    machine = server.machine
    for alter, sentence in REFUSED.values():
        server.bring(__version__, alter)
        server.refuses("install.sh", sentence)
    assert not machine.path("/opt/tipbox").exists()

    server.bring(__version__)
    done = server.script("install.sh")
    assert "release signed by aigul,boris" in done.out
    assert "A test tip is stored." in done.out
    assert (server.runs, server.is_active) == (__version__, True)
    assert machine.path("/opt/tipbox/floor").read_text().split()[0] == __version__
    assert "The same: program, units, firewall" in server.verify_installed(0).out

    for alter, sentence in REFUSED.values():
        server.bring(NEXT, alter)
        server.refuses("upgrade.sh", sentence)
        assert (server.runs, server.is_active) == (__version__, True)

    server.bring(NEXT)
    server.verify_installed(3)
    done = server.script("upgrade.sh")
    assert "release signed by aigul,boris" in done.out
    assert (server.runs, server.is_active) == (NEXT, True)
    assert "The same: program, units, firewall" in server.verify_installed(0).out

    # Everything about an older one is right but its age.
    server.bring(__version__)
    for script in ("upgrade.sh", "install.sh"):
        server.refuses(script, DOWNGRADED[0])
    machine.path("/opt/tipbox/floor").write_text(f"{NEXT}\n")
    server.refuses("upgrade.sh", DOWNGRADED[1])
    done = server.script("upgrade.sh", "--older", expect=1)
    assert DOWNGRADED[1] in done.err
    assert (server.runs, server.is_active) == (NEXT, True)
