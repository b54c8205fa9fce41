"""README's first command on a fresh machine: Debian 12 and 13 with nothing but git, make and python3-venv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from deploy.machine import RELEASES, bare_trees
from support.tree import copy_tree

HOME: Final = Path("/home/tester")
REGISTRIES: Final = re.compile(r"(?i:pip|npm_config|ssl_cert|requests_ca)_|NODE_EXTRA_CA_CERTS|(?i:.+_proxy)")
"""Variables that say how this machine reaches the package registries."""


class Bare:
    """A tree in which a user without root's rights has begun `make demo ARGS=--once`."""

    def __init__(self, root: Path, version: str) -> None:
        self.home = root / HOME.relative_to("/")
        subprocess.run(("chroot", root, "useradd", "--create-home", "--home-dir", HOME, "tester"), check=True)
        copy_tree(self.home / "tipbox")
        environment, binds = _registries(root, self.home)
        tools = root / "usr" / "local" / "bin"
        for forbidden in ("apt", "apt-get", "sudo", "node", "npm", "npx"):
            (tools / forbidden).write_text("#!/bin/sh\necho called: $0 >&2\nexit 99\n", encoding="utf-8")
            (tools / forbidden).chmod(0o755)
        subprocess.run(("chroot", root, "chown", "--recursive", "tester:tester", HOME), check=True)
        self._process = subprocess.Popen(
            (
                *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--resolv-conf=off"),
                *(f"--machine=tipbox-{os.getpid()}-{version}", f"--directory={root}"),
                *(f"--bind-ro={path}" for path in sorted({*binds, "/etc/resolv.conf", "/etc/hosts"})),
                *(f"--setenv={name}={value}" for name, value in environment.items()),
                *("--user=tester", f"--chdir={HOME / 'tipbox'}", "make", "demo", "ARGS=--once"),
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    def outcome(self) -> tuple[int, str]:
        """Wait for its end; status and all that it wrote."""
        out, _ = self._process.communicate()
        return self._process.returncode, out

    def end(self) -> None:
        """End it, if it still runs: nspawn takes all of the tree's processes along."""
        self._process.terminate()
        self._process.wait()


def _registries(root: Path, home: Path) -> tuple[dict[str, str], set[str]]:
    """Let pip and npm in the tree reach the registries as they do here; the variables, and the paths to bind."""
    settings = {name: value for name, value in os.environ.items() if REGISTRIES.match(name)}
    listed = subprocess.run(
        (sys.executable, "-m", "pip", "config", "list"), capture_output=True, text=True, check=True
    ).stdout
    configured = dict(re.findall(r"(?m)^global\.([\w-]+)='(.*)'$", listed))
    # Wheels that happen to lie on this machine's disk are no way to a registry.
    environment, conf = (
        {key: " ".join(word for word in value.split() if not _is_folder(word)) for key, value in one.items()}
        for one in (settings, configured)
    )
    lines = (f"{key} = {value}\n" for key, value in conf.items() if value)
    (root / "etc" / "pip.conf").write_text("".join(("[global]\n", *lines)), encoding="utf-8")
    npmrc = Path.home() / ".npmrc"
    if npmrc.exists():
        shutil.copyfile(npmrc, home / ".npmrc")
    words = {word for value in (*environment.values(), *conf.values()) for word in value.split()}
    return {key: value for key, value in environment.items() if value}, {
        word for word in words if word.startswith("/") and Path(word).is_file()
    }


def _is_folder(word: str) -> bool:
    return word.startswith("file:") or Path(word).is_dir()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Bare]]:
    """The demo in a tree of each Debian, side by side: each waits for the network at other times."""
    folder = tmp_path_factory.mktemp("bare")
    started: dict[str, Bare] = {}
    try:
        for version, root in bare_trees(tmp_path_factory, folder).items():
            started[version] = Bare(root, version)
        yield started
    finally:
        for one in started.values():
            one.end()
        subprocess.run(("rm", "-rf", folder), check=False)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("version", RELEASES)
def test_demo_once(version: str, bare: dict[str, Bare], record_size: Callable[[str, int], None]) -> None:
    """`make demo ARGS=--once` sets up, runs the main job and exits; it calls no tool of root's and no other Node."""
    status, out = bare[version].outcome()

    assert status == 0, out
    assert "called:" not in out
    assert "Traceback" not in out
    files = (bare[version].home / "tipbox" / ".venv").rglob("*")
    record_size(f".venv on Debian {version}", sum(file.lstat().st_size for file in files))
