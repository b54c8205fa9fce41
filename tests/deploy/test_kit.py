"""The air-gap kit installs the desk on a bare Debian tree whose network has no interface.

With packages of Debian that have nothing in them; with the real ones, in booted trees: ``make kits``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.conftest import ORGANISATION, Kit, make_kit
from deploy.kit_packages import empty_packages, entry_command, names
from deploy.machine import RELEASES, bare_trees, install
from support.world import Ring

pytestmark = pytest.mark.timeout(3600)  # machines and networks are set up on a busy one


@pytest.fixture(scope="module", name="desk_kit")
def _desk_kit(kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    said = make_kit("desk", folder / "kit", kit.wheel, kit.key, "--debs", empty_packages(folder))
    assert f"tipbox {' '.join(kit.key.with_suffix('.pub').read_text().split()[:2])}" in said
    return folder / "kit"


@pytest.fixture(scope="module", name="trees")
def _trees(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("bare")
    trees = bare_trees(tmp_path_factory, folder)
    install(("openssh-client",), trees, folder)
    yield trees
    subprocess.run(("rm", "-rf", folder), check=False)


def without_network(
    tree: Path, *command: str, expect: int = 0, user: str = "1000:1000"
) -> subprocess.CompletedProcess[str]:
    """Run in a tree as its user, in a network namespace in which even the loopback is down."""
    inside = ("unshare", "--net", "--mount", "--pid", "--fork", "chroot", f"--userspec={user}", tree)
    # Root as well has a person's PATH, as after su.
    clean = ("env", "--ignore-environment", "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/home/staff", "LC_ALL=C.UTF-8")
    done = subprocess.run(
        (*inside, *clean, *command), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def test_the_kit_says_what_it_is(desk_kit: Path) -> None:
    """README names size, count and list of files; each file but the list is in the list."""
    files = {str(path.relative_to(desk_kit)): path for path in desk_kit.rglob("*") if path.is_file()}
    readme = files["README.txt"].read_text(encoding="utf-8")
    listed = {line[66:] for line in files["SHA256SUMS"].read_text(encoding="utf-8").splitlines()}

    assert set(files) - listed == {"SHA256SUMS", "SHA256SUMS.sig"}
    size = sum(path.stat().st_size for name, path in files.items() if name in listed)
    found = re.search(r"; (\d+) files besides the list, (\d+) MB\.", readme)
    assert found
    assert int(found[1]) == len(listed)
    assert abs(int(found[2]) - size / 1e6) < 1
    assert readme.count(f"{len(names())} packages of Debian 1") == len(RELEASES)
    assert "SHA256SUMS" in readme.partition("This kit")[2]
    assert {
        "guide/desk-first-hour.md",
        "guide/staff/file.md",
        "guide/staff/ar/first-hour.md",
        "debian/packages.txt",
        "tipbox-desk",
    } <= listed
    assert not [name for name in listed if re.search(r'[:*?"<>|\\]', name)], "sticks have no such names"


@pytest.mark.parametrize("version", RELEASES)
def test_the_desk_is_installed_from_the_stick_alone(
    version: str, trees: dict[str, Path], desk_kit: Path, kit: Kit, organisation: Ring
) -> None:
    tree = trees[version]
    home = tree / "home" / "staff"
    script = "/home/staff/the kit/install-desk.sh"
    subprocess.run(("chroot", tree, "useradd", "--uid=1000", "--no-create-home", "anna"), check=True)
    shutil.copytree(desk_kit, home / "the kit")
    shutil.copy(kit.signers, home / "signers")
    shutil.copytree(organisation.folder / ORGANISATION, home / "desk")
    for path in [home, *home.rglob("*")]:
        shutil.chown(path, 1000, 1000)
    try:
        command = (script, "--signers", "/home/staff/signers")
        (tree / "usr/bin/ssh-keygen").rename(tree / "usr/bin/aside")
        lacking = without_network(tree, "bash", *command, expect=1)
        (tree / "usr/bin/aside").rename(tree / "usr/bin/ssh-keygen")
        assert lacking.stderr == (
            "install-desk: ssh-keygen is missing, which checks the signature: install Debian's package openssh-client, "
            "or leave out --signers and compare the hash that was read to you\n"
        )
        # As on Tails: no package that brings pip into a venv.
        without_network(tree, "bash", "-c", "! python3 -m pip --version")
        said = without_network(tree, "bash", *command)
        locked = ("--vault", "/home/staff/desk/vault", "--passphrase-file", "/home/staff/desk/passphrase")
        listed = without_network(tree, "/home/staff/tipbox/bin/tipbox", "desk", "list", *locked, "--json")
        packages = {path.name.split("-")[0].lower() for path in home.glob("tipbox/lib/*/site-packages/*.dist-info")}

        assert 'Good "tipbox-kit" signature' in said.stdout
        assert listed.stdout.strip() == "[]"
        assert packages.isdisjoint({"gunicorn", "sqlalchemy", "httpx", "pip"})
        entry = home / ".local/share/applications/tipbox-desk.desktop"
        assert entry_command(entry) == ["/home/staff/tipbox/bin/tipbox-desk"]
        assert entry_command(entry, "commands") == ["/home/staff/tipbox/bin/tipbox-desk", "--commands"]
        shell = without_network(tree, "bash", "-c", "echo tipbox --version | ~/tipbox/bin/tipbox-desk --commands")
        assert shell.stdout.splitlines()[-1].startswith("tipbox")

        # Whoever is not root is told what root types; that works, and nothing is lacking afterwards.
        assert "Files of sources: files are listed only" in said.stdout
        (told,) = re.findall(r"As root, run: (.*)", said.stdout)
        assert "Lacking: bubblewrap" in said.stdout
        without_network(tree, "bash", "-c", f"! {told}")
        assert without_network(tree, "bash", "-c", told, user="0:0").stdout.endswith("Debian's packages: all there\n")
        assert (tree / "usr/share/of-the-kit/bubblewrap").stat().st_mode & 0o444 == 0o444
        assert not (tree / "usr/share/of-the-kit/openssh-client").exists(), "what is there stays as it is"
        assert list((tree / "tmp").glob("tipbox-kit*")) == []

        (home / "the kit" / "wheels" / "added.whl").write_bytes(b"")
        again = without_network(tree, "bash", script, "/home/staff/other", expect=1)
        assert "files were added or are missing" in again.stderr
        (home / "the kit" / "wheels" / "added.whl").unlink()
        lock = home / "the kit" / "requirements.lock"
        lock.write_text(lock.read_text() + "# a change\n")
        again = without_network(tree, "bash", script, "/home/staff/other", expect=1)
        assert "a file is damaged" in again.stderr
        assert not (home / "other").exists()
    finally:
        shutil.rmtree(home)
        subprocess.run(("chroot", tree, "userdel", "anna"), check=True)
