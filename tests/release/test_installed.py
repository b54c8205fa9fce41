"""``tipbox verify --installed``: everything that install.sh puts in place is compared with the release."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from release.made import TODAY, Maker
from support.commands import Run
from support.world import ROOT
from tipbox.errors import NotFound
from tipbox.release.release_folder import TrustedRelease, open_release
from tipbox.verify.installed import PLACES, compare_installed

OWN = {"/etc/tipbox/alert", "/etc/tipbox/canary.env", "/etc/tipbox/keys/a.json"}
"""What is each operator's."""
CHOICES = {
    b"@ssh@": b"tcp dport { 22, 2222 } ct state new jump ssh",
    b"@time@": b"",
    b"@stores@": b'meta skuid "tipbox-relay" tcp dport { 53, 5432 } accept\n        meta skuid "tipbox-relay" accept',
    b"@DIRECTORY@": b"/var/lib/tor/tipbox/sources",
    b"@SOCKET@": b"/run/tipbox/source.sock",
}
DEPLOYED = [path for path in sorted((ROOT / "deploy").rglob("*")) if path.is_file() and "__pycache__" not in path.parts]


def packed(files: dict[str, bytes]) -> tuple[bytes, bytes]:
    """A wheel of these, and a source with this checkout's deploy/."""
    wheel, source = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    with tarfile.open(fileobj=source, mode="w:gz") as archive:
        for path in DEPLOYED:
            archive.add(path, f"tipbox-1.2.0/{path.relative_to(ROOT)}")
    return wheel.getvalue(), source.getvalue()


PROGRAM = {"tipbox/__init__.py": b"a = 1\n", "tipbox/server/a.py": b"b = 2\n", "tipbox-1.2.0.dist-info/RECORD": b""}


@pytest.fixture(name="release", scope="module")
def _release(tmp_path_factory: pytest.TempPathFactory) -> TrustedRelease:
    folder = tmp_path_factory.mktemp("release")
    wheel, source = packed(PROGRAM)
    maker = Maker(folder / "maintainers")
    files = {"tipbox-1.2.0-py3-none-any.whl": wheel, "tipbox-1.2.0.tar.gz": source}
    maker.release(folder / "release", files)
    return open_release(folder / "release", maker.signers, TODAY)


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    """A machine as install.sh leaves it."""
    packages = tmp_path / "opt" / "tipbox" / "releases" / "1" / "lib" / "python3.11" / "site-packages"
    for name, data in PROGRAM.items():
        put(packages / name, data)
    put(packages / "tipbox" / "__pycache__" / "a.pyc", b"")
    (tmp_path / "opt" / "tipbox" / "current").symlink_to("releases/1")
    for path in DEPLOYED:
        name = str(path.relative_to(ROOT))
        place = next((one for one in PLACES if one.has(name)), None)
        if place is None:
            continue
        data = path.read_bytes()
        if place.filled:
            for mark, choice in CHOICES.items():
                data = data.replace(mark, choice)
            data = b"\n".join(line.rstrip() for line in data.split(b"\n"))
        put(tmp_path / (place.installed + name.removeprefix(place.source)), data)
    return tmp_path


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_all_that_install_sh_writes_is_compared(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    wheel = tmp_path / "tipbox-1.2.0-py3-none-any.whl"
    wheel.touch()
    command = (ROOT / "deploy" / "install.sh", "--dry-run", "--plain", "yes", "--keys", tmp_path, "--wheel", wheel)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    written = set(re.findall(r"^would write: (/[^,\s]+)", done.stdout, re.MULTILINE))
    names = [str(path.relative_to(ROOT)) for path in DEPLOYED]
    compared = {
        f"/{place.installed}{name.removeprefix(place.source)}"
        for name in names
        if (place := next((one for one in PLACES if one.has(name)), None))
    }
    assert written - OWN == compared


def test_a_machine_as_it_was_installed_is_the_same(release: TrustedRelease, root: Path) -> None:
    assert compare_installed(release, root) == []


def test_whatever_was_changed_on_it_is_named(release: TrustedRelease, root: Path) -> None:
    compared = [path for folder in ("etc", "usr") for path in sorted((root / folder).rglob("*")) if path.is_file()]
    packages = root / "opt/tipbox/current/lib/python3.11/site-packages/tipbox"
    compared += [packages / "__init__.py", packages / "server" / "a.py"]
    assert len(compared) > 30
    for path in compared:
        path.write_bytes(path.read_bytes() + b"x")
    assert sorted(compare_installed(release, root)) == sorted(f"{path}: it is not the release's" for path in compared)
    for path in compared:
        path.unlink()
    optional = {"plain.conf", "tipbox-plain.conf", "tipbox.nft"}  # with --plain no, and --firewall no
    there = [path for path in compared if path.name not in optional]
    assert sorted(compare_installed(release, root)) == sorted(f"{path}: it is missing" for path in there)


def test_a_file_that_the_release_does_not_have_is_named(release: TrustedRelease, root: Path) -> None:
    packages = root / "opt/tipbox/current/lib/python3.11/site-packages/tipbox"
    put(packages / "server" / "more.py", b"")
    assert compare_installed(release, root) == [f"{packages}/server/more.py: the release has no such file"]


def test_a_firewall_that_lets_more_in_is_named(release: TrustedRelease, root: Path) -> None:
    path = root / "etc" / "nftables.d" / "tipbox.nft"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"policy drop", b"policy accept", 1))
    assert good != path.read_bytes()
    assert compare_installed(release, root) == [f"{path}: it is not the release's"]


def test_stores_on_other_machines_change_the_profiles(release: TrustedRelease, root: Path) -> None:
    put(root / "etc" / "apparmor.d" / "tipbox", b"another")
    assert compare_installed(release, root) != []
    put(root / "etc" / "tipbox" / "stores" / "stores.toml", b"")
    assert compare_installed(release, root) == []


def test_where_nothing_is_installed_it_says_so(release: TrustedRelease, tmp_path: Path, run: Run) -> None:
    with pytest.raises(NotFound, match="is this the server"):
        compare_installed(release, tmp_path)
    assert run("verify", "--installed").code == 2
