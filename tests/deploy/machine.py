"""Servers to install on: a Debian tree, booted by systemd in a container whose network is a namespace of ours.

All machines and the private Tor network share that namespace, in which only the loopback is up: nothing leaves it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import pytest

from support.commands import Done
from support.once import once

RELEASES: Final = {"12": "bookworm", "13": "trixie"}
BARE_PACKAGES: Final = ("git", "make", "python3-venv")
"""What a new user has."""
SERVER_PACKAGES: Final = (
    "apparmor",
    "ca-certificates",
    "dbus",
    "iproute2",
    "nftables",
    "openssh-client",
    "systemd",
    "systemd-sysv",
    "tor",
    "unattended-upgrades",
)
"""What install.sh would take from Debian besides: the machines have no network."""
BOOT_SECONDS: Final = 400
COMMAND_SECONDS: Final = 600
_ENVIRONMENT: Final = (
    "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL=C.UTF-8",
    "HOME=/root",
)


def side_by_side(commands: Mapping[str, Sequence[str | Path]], logs: Path) -> None:
    """Run a command for each release, all at once: each waits for the network at other times."""
    running = {}
    for version, command in commands.items():
        with (logs / f"{version}.log").open("wb") as log:
            running[version] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    failed = [version for version, process in running.items() if process.wait() != 0]
    assert not failed, "".join((logs / f"{version}.log").read_text()[-2000:] for version in failed)


def new_trees(folder: Path) -> None:
    """A tree of each release with the bare packages, named by its version."""
    folder.mkdir()
    options = ("--quiet", "--variant=minbase", f"--include={','.join(BARE_PACKAGES)}")
    side_by_side(
        {version: ("mmdebstrap", *options, suite, folder / version) for version, suite in RELEASES.items()}, folder
    )


def bare_trees(factory: pytest.TempPathFactory, folder: Path) -> dict[str, Path]:
    """Trees of one's own in `folder`, copied from those that are made once for a whole run."""
    made = once(factory, "trees", new_trees)
    return {version: copied(made / version, folder / suite) for version, suite in RELEASES.items()}


def server_trees(factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What a server has, of each release, made once for a whole run: to be copied before anything is changed."""

    def make(folder: Path) -> None:
        folder.mkdir()
        install(SERVER_PACKAGES, bare_trees(factory, folder), folder)

    made = once(factory, "servers", make)
    return {version: made / suite for version, suite in RELEASES.items()}


def copied(tree: Path, to: Path) -> Path:
    """A copy of a tree; its place."""
    subprocess.run(("cp", "--archive", "--reflink=auto", tree, to), check=True)
    return to


def install(packages: Sequence[str], trees: Mapping[str, Path], logs: Path) -> None:
    """Install Debian's packages in each tree."""
    # No tor starts while its package is installed.
    script = (
        "set -e; printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; "
        'apt-get -q update; apt-get -q -y --no-install-recommends install "$@"; apt-get clean; '
        "rm /usr/sbin/policy-rc.d"
    )
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    environment = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", **proxies}
    side_by_side(
        {
            version: (
                *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--resolv-conf=off"),
                *("--bind-ro=/etc/resolv.conf", "--bind-ro=/etc/hosts"),
                *(f"--machine=tipbox-{os.getpid()}-{version}", f"--directory={tree}"),
                *(f"--setenv={name}={value}" for name, value in environment.items()),
                *("bash", "-c", script, "-", *packages),
            )
            for version, tree in trees.items()
        },
        logs,
    )


@contextmanager
def network_namespace(name: str = f"tipbox-{os.getpid()}") -> Iterator[str]:
    """A network of our own with nothing in it but the loopback; its name."""
    subprocess.run(("ip", "netns", "add", name), check=True)
    try:
        subprocess.run(("ip", "-n", name, "link", "set", "lo", "up"), check=True)
        yield name
    finally:
        subprocess.run(("ip", "netns", "delete", name), check=True)


@dataclass
class Machine:
    """A booted tree."""

    version: str
    root: Path
    process: subprocess.Popen[bytes]
    leader: int = 0
    """The process that is the machine's first, as this side counts."""

    def run(self, *command: str | Path, expect: int | None = 0, timeout: float = COMMAND_SECONDS) -> Done:
        """Run a command as root in the machine, outside of every unit's sandbox."""
        inside = ("nsenter", f"--target={self.leader}", "--all", "env", "--ignore-environment", *_ENVIRONMENT)
        done = subprocess.run(
            (*inside, *command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
        assert expect in (None, done.returncode), f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Done(done.returncode, done.stdout, done.stderr)

    def path(self, path: str) -> Path:
        """A file of the machine's disk, seen from here."""
        return self.root / path.lstrip("/")

    def put(self, source: Path, target: str) -> None:
        """Copy a file or folder to the machine's disk."""
        place = self.path(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True)
        else:
            shutil.copy2(source, place)

    def property(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).out.strip()


@contextmanager
def booted(version: str, root: Path, namespace: str) -> Iterator[Machine]:
    """Boot a tree and wait until its systemd has started everything."""
    console = root.with_name(f"{root.name}.console")
    options = ("--quiet", "--register=no", "--keep-unit", "--console=pipe", "--boot")
    network = f"--network-namespace-path=/run/netns/{namespace}"
    # As on a real machine: systemd 257 gives no unit a network of its own where it cannot bring up a loopback.
    power = "--capability=CAP_NET_ADMIN"
    with console.open("wb") as output:
        process = subprocess.Popen(
            ("systemd-nspawn", *options, network, power, f"--directory={root}"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    machine = Machine(version, root, process)
    try:
        machine.leader = _leader(process, console)
        deadline = time.monotonic() + BOOT_SECONDS
        while (state := machine.run("systemctl", "is-system-running", expect=None).out.strip()) != "running":
            assert state != "degraded", machine.run("systemctl", "--failed", "--no-pager").out
            assert time.monotonic() < deadline, f"{state}\n{console.read_text()[-3000:]}"
            time.sleep(0.2)
        yield machine
    finally:
        _end(machine)


def _leader(process: subprocess.Popen[bytes], console: Path) -> int:
    """The container's systemd: among the descendants of nspawn, the one that counts itself as process 1."""
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, console.read_text()[-3000:]
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                status = Path(f"/proc/{child.pid}/status").read_text()
            except OSError:
                continue
            counted = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
            if len(counted) > 1 and counted[-1] == "1" and "systemd" in status.splitlines()[0]:
                return child.pid
        time.sleep(0.1)
    raise AssertionError(console.read_text()[-3000:])


def _end(machine: Machine) -> None:
    """Cut its power: with its first process, the kernel ends all others."""
    if machine.leader and machine.process.poll() is None:
        os.kill(machine.leader, signal.SIGKILL)
    try:
        machine.process.wait(30)
    except subprocess.TimeoutExpired:
        machine.process.kill()
        machine.process.wait()
