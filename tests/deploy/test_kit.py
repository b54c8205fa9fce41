"""The air-gap kit installs the desk on a bare Debian tree whose network has no interface."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.conftest import ORGANISATION, Kit, make_kit
from deploy.machine import RELEASES, bare_trees, install
from support.world import Ring

pytestmark = pytest.mark.timeout(3600)  # machines and networks are set up on a busy one


@pytest.fixture(scope="module", name="desk_kit")
def _desk_kit(kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("desk") / "kit"
    said = make_kit("desk", out, kit.wheel, kit.key)
    assert f"tipbox {' '.join(kit.key.with_suffix('.pub').read_text().split()[:2])}" in said
    return out


@pytest.fixture(scope="module", name="trees")
def _trees(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("bare")
    trees = bare_trees(tmp_path_factory, folder)
    install(("openssh-client",), trees, folder)
    yield trees
    subprocess.run(("rm", "-rf", folder), check=False)


def without_network(tree: Path, *command: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run in a tree as its user, in a network namespace in which even the loopback is down."""
    inside = ("unshare", "--net", "--mount", "--pid", "--fork", "chroot", "--userspec=1000:1000", tree)
    clean = ("env", "--ignore-environment", "PATH=/usr/bin:/bin", "HOME=/home/staff", "LC_ALL=C.UTF-8")
    done = subprocess.run(
        (*inside, *clean, *command), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.mark.parametrize("version", RELEASES)
def test_the_desk_is_installed_from_the_stick_alone(
    version: str, trees: dict[str, Path], desk_kit: Path, kit: Kit, organisation: Ring
) -> None:
    tree = trees[version]
    home = tree / "home" / "staff"
    subprocess.run(("chroot", tree, "useradd", "--uid=1000", "--no-create-home", "anna"), check=True)
    shutil.copytree(desk_kit, home / "kit")
    shutil.copy(kit.signers, home / "signers")
    shutil.copytree(organisation.folder / ORGANISATION, home / "desk")
    for path in [home, *home.rglob("*")]:
        shutil.chown(path, 1000, 1000)
    try:
        command = ("/home/staff/kit/install-desk.sh", "--signers", "/home/staff/signers")
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

        (home / "kit" / "wheels" / "added.whl").write_bytes(b"")
        again = without_network(tree, "bash", "/home/staff/kit/install-desk.sh", "/home/staff/other", expect=1)
        assert "files were added or are missing" in again.stderr
        (home / "kit" / "wheels" / "added.whl").unlink()
        lock = home / "kit" / "requirements.lock"
        lock.write_text(lock.read_text() + "# a change\n")
        again = without_network(tree, "bash", "/home/staff/kit/install-desk.sh", "/home/staff/other", expect=1)
        assert "a file is damaged" in again.stderr
        assert not (home / "other").exists()
    finally:
        shutil.rmtree(home)
        subprocess.run(("chroot", tree, "userdel", "anna"), check=True)
