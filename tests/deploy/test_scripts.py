"""The scripts and units as files: what can be said of them without a server."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.conftest import Kit
from support.world import ROOT, Ring

DEPLOY = ROOT / "deploy"
NAMELESS = ("tipbox-server", "etc/alert", "kit/tipbox-desk")
SHELL = sorted({*DEPLOY.glob("*.sh"), *DEPLOY.glob("kit/*.sh"), *(DEPLOY / name for name in NAMELESS)})
SERVICES = sorted(DEPLOY.glob("systemd/*.service"))
LARGEST_EXPOSURE = 1.5
USERS = {
    "tipbox": "tipbox",
    "tipbox-backup": "tipbox-backup",
    "tipbox-canary": "tipbox-canary",
    "tipbox-onion": "tipbox-canary",
}
"""Those of all others are the couriers'."""
ROLES = {
    "tipbox": "sources",
    "tipbox-courier": "couriers",
    "tipbox-backup": "backup",
    "tipbox-canary": "canary",
    "tipbox-onion": "canary",
}
"""Of which each has a profile; all others are upkeep."""
LISTENERS = {"tipbox", "tipbox-courier"}
SETTINGS = {name: ["EnvironmentFile=/etc/tipbox/canary.env"] for name in ("tipbox-canary", "tipbox-onion")}
WALLS = (
    *("UMask=0007", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateNetwork=yes"),
    *("RestrictAddressFamilies=AF_UNIX", "IPAddressDeny=any", "LimitCORE=0", "MemorySwapMax=0", "LogNamespace=tipbox"),
    *("NoNewPrivileges=yes", "CapabilityBoundingSet=", "PrivateUsers=yes", "PrivateDevices=yes"),
    *("ProtectProc=invisible", "MemoryDenyWriteExecute=yes", "RestrictNamespaces=yes"),
    *("SystemCallArchitectures=native", "SystemCallFilter=@system-service"),
)


def run(*command: str | Path, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert expect in (None, done.returncode), f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def test_shellcheck_finds_nothing() -> None:
    assert len(SHELL) >= 6
    assert run("shellcheck", "--external-sources", *SHELL).stdout == ""


@pytest.mark.parametrize("script", [path for path in SHELL if path.stat().st_mode & 0o100], ids=lambda path: path.name)
def test_a_wrong_option_is_refused_and_nothing_is_done(script: Path) -> None:
    if script.name in {"install-desk.sh", "tipbox-desk", "tipbox-server", "alert"}:
        assert "set -eu" in script.read_text()
        return
    assert "options" in run(script, "--nonsense", "x", expect=2).stderr


# --- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_each_unit_is_complete_and_walled_in(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert [wall for wall in WALLS if wall not in lines] == []
    for limit in ("MemoryMax=", "TasksMax=", "LimitNOFILE="):
        assert len([line for line in lines if line.startswith(limit)]) == 1, limit
    # Of a listener that is too large, one worker goes, and not all of it.
    assert ("OOMPolicy=continue" in lines) == (unit.stem in LISTENERS)
    assert not [line for line in lines if "%" in line]
    assert [line for line in lines if line.startswith("EnvironmentFile")] == SETTINGS.get(unit.stem, [])
    if unit.stem in {"tipbox-machine", "tipbox-alert"}:  # they run other programs, and see nothing of the server
        assert ("DynamicUser=yes" if unit.stem == "tipbox-machine" else "User=tipbox-alert") in lines
        assert any(line.startswith("InaccessiblePaths=-/var/lib/tipbox -") for line in lines)
        return
    assert f"User={USERS.get(unit.stem, 'tipbox-courier')}" in lines
    assert f"AppArmorProfile=-tipbox-{ROLES.get(unit.stem, 'upkeep')}" in lines


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_a_person_is_told_of_each_unit_that_can_fail(unit: Path) -> None:
    """And that it is well again. The listeners start again for ever, and tipbox-onion sees when they do not answer."""
    lines = unit.read_text().splitlines()
    told = [line for line in lines if line in {"OnFailure=tipbox-alert.service", "OnSuccess=tipbox-alert.service"}]
    assert len(told) == (0 if unit.stem in {*LISTENERS, "tipbox-alert"} else 2)


def alert(folder: Path, *answers: str) -> int:
    """Run the script that tells a person, where systemd gives these answers, and the last of them for ever."""
    asked = folder / "asked"
    systemctl = folder / "systemctl"
    cases = "".join(f"{number}) {answer};;\n" for number, answer in enumerate(answers[:-1], 1))
    systemctl.write_text(f"#!/bin/sh\necho >>{asked}\ncase $(wc -l <{asked}) in\n{cases}*) {answers[-1]};;\nesac\n")
    systemctl.chmod(0o755)
    asked.unlink(missing_ok=True)
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "STATE_DIRECTORY": str(folder)}
    return subprocess.run((DEPLOY / "etc/alert",), env=environment, check=False, timeout=60).returncode


def test_what_fails_while_a_person_is_told_is_told_too(tmp_path: Path) -> None:
    """The unit that tells is running then, so systemd does not start it again."""
    assert alert(tmp_path, "echo tipbox-check.service", "echo tipbox-check.service; echo tipbox-onion.service") == 0
    told = (tmp_path / "findings").read_text()
    assert "  tipbox-check.service\n  tipbox-onion.service\n" in told

    assert alert(tmp_path, "exit 1") != 0
    assert (tmp_path / "findings").read_text() == told

    assert alert(tmp_path, "echo tipbox-check.service", ":") == 0
    assert not (tmp_path / "findings").exists()


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_exposure_of_each_unit_is_bounded(unit: Path) -> None:
    told = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit).stdout
    found = re.search(r"Overall exposure level for .*: ([0-9.]+) ", told)

    assert found is not None
    assert float(found[1]) <= LARGEST_EXPOSURE


def test_apparmor_profile_parses() -> None:
    run("apparmor_parser", "-Q", "-K", DEPLOY / "apparmor" / "tipbox")


# --- a dry run --------------------------------------------------------------------------------------------------------


def state_of(*folders: str) -> dict[str, str]:
    """Names and contents of what an installation writes."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for folder in folders
        for path in sorted(Path(folder).rglob("*"))
        if not path.is_symlink() and "ssl" not in path.parts
    }


def test_a_dry_run_says_everything_and_changes_nothing(kit: Kit, organisation: Ring) -> None:
    watched = ("/etc/systemd", "/etc/tor", "/etc/nftables.d", "/etc/apt/apt.conf.d", "/opt/tipbox", "/var/lib/tipbox")
    before = state_of(*watched)
    wheels = ("--wheelhouse", kit.server, "--signers", kit.signers)
    said = run(DEPLOY / "install.sh", "--dry-run", "--keys", organisation.keys, *wheels).stdout

    assert state_of(*watched) == before
    for unit in SERVICES:
        assert f"would write: /etc/systemd/system/{unit.name}" in said
    for line in ("would write: /etc/nftables.d/tipbox.nft", "--require-hashes", "would add to /etc/tor/torrc"):
        assert line in said


def test_a_wheelhouse_that_was_touched_is_refused(kit: Kit, organisation: Ring, tmp_path: Path) -> None:
    touched = Path(shutil.copytree(kit.server, tmp_path / "kit"))
    (wheel,) = touched.glob("click-*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    command = (DEPLOY / "install.sh", "--dry-run", "--keys", organisation.keys, "--wheelhouse", touched)
    assert "not what SHA256SUMS says" in run(*command, expect=1).stderr

    name, hashed = f"  {wheel.name}", hashlib.sha256(wheel.read_bytes()).hexdigest()
    lines = (touched / "SHA256SUMS").read_text().splitlines(keepends=True)
    (touched / "SHA256SUMS").write_text("".join(hashed + name + "\n" if name in line else line for line in lines))
    assert "the signature of" in run(*command, "--signers", kit.signers, expect=1).stderr


def _remove_both(kit: Path) -> None:
    for path in [*kit.glob("SHA256SUMS*")]:
        path.unlink()


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no list": (lambda kit: (kit / "SHA256SUMS").unlink(), "is not signed"),
    "no signature": (lambda kit: (kit / "SHA256SUMS.sig").unlink(), "is not signed"),
    "neither": (_remove_both, "is not signed"),
    "a file was added": (lambda kit: (kit / "click-99.0-py3-none-any.whl").touch(), "files were added"),
    "a file with a name like the list's": (lambda kit: (kit / "SHA256SUMS-1.whl").touch(), "files were added"),
    "a file in a folder was added": (lambda kit: _touch(kit / "more" / "click-99.0.whl"), "files were added"),
    "a link was added": (lambda kit: (kit / "click-99.0-py3-none-any.whl").symlink_to("/dev/null"), "files were added"),
    "a file is missing": (lambda kit: (kit / "requirements.lock").unlink(), "files were added"),
}


def _touch(path: Path) -> None:
    path.parent.mkdir()
    path.touch()


@pytest.mark.parametrize("script", ["install.sh", "upgrade.sh"])
@pytest.mark.parametrize("change", REFUSED)
def test_what_the_signers_did_not_sign_is_refused(
    kit: Kit, organisation: Ring, tmp_path: Path, script: str, change: str
) -> None:
    touched = Path(shutil.copytree(kit.server, tmp_path / "kit"))
    command: list[str | Path] = [DEPLOY / script, "--dry-run", "--wheelhouse", f"{touched}/", "--signers", kit.signers]
    command += ["--keys", organisation.keys] if script == "install.sh" else []
    alter, sentence = REFUSED[change]
    alter(touched)

    assert sentence in run(*command, expect=1).stderr


@pytest.mark.parametrize("script", ["install.sh", "upgrade.sh"])
def test_signers_leave_no_way_round_what_they_signed(kit: Kit, organisation: Ring, tmp_path: Path, script: str) -> None:
    command: list[str | Path] = [DEPLOY / script, "--dry-run", "--signers", kit.signers]
    command += ["--keys", organisation.keys] if script == "install.sh" else []
    inside = kit.server / kit.wheel.name
    beside = Path(shutil.copy(kit.wheel, tmp_path))

    assert "name it with --wheelhouse" in run(*command, "--wheel", kit.wheel, expect=1).stderr
    assert "is not in" in run(*command, "--wheelhouse", kit.server, "--wheel", beside, expect=1).stderr
    assert "there is no file" in run(*command, "--signers", tmp_path / "none", expect=1).stderr
    assert "would run" in run(*command, "--wheelhouse", f"{kit.server}/", "--wheel", inside).stdout


# --- the firewall -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="walled")
def _walled() -> Iterator[tuple[str, str]]:
    """A server behind the firewall and a neighbour: two network namespaces with a wire between them."""
    server, neighbour = "tipbox-walled", "tipbox-neighbour"
    rules = (DEPLOY / "nftables" / "tipbox.nft").read_text()
    rules = (
        rules.replace("@ssh@", "tcp dport { 22 } ct state new jump ssh").replace("@time@", "").replace("@stores@", "")
    )
    for name in (server, neighbour):
        run("ip", "netns", "add", name)
    try:
        run("ip", "-n", server, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", neighbour)
        for name, last in ((server, 1), (neighbour, 2)):
            run("ip", "-n", name, "address", "add", f"192.0.2.{last}/24", "dev", "wire")
            run("ip", "-n", name, "address", "add", f"2001:db8:0:1::{last}/48", "dev", "wire", "nodad")
            run("ip", "-n", name, "link", "set", "wire", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
        subprocess.run(("ip", "netns", "exec", server, "nft", "-f", "-"), input=rules, text=True, check=True)
        yield server, neighbour
    finally:
        for name in (server, neighbour):
            run("ip", "netns", "delete", name)


LISTEN_ALL = """\
import socket, sys
listener = socket.create_server(("", 22), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
sys.stdin.read()
"""
CONNECT = """\
import encodings.idna, os, pwd, socket, sys  # the other user may not read this Python's library
user, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.setuid(pwd.getpwnam(user).pw_uid)
try:
    socket.create_connection((host, port), 2).close()
except OSError as error:
    print(type(error).__name__)
else:
    print("through")
"""
LISTEN = """\
import socket, sys
listeners = [socket.create_server(("", int(port))) for port in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("side", "user", "port", "through"),
    [
        ("in", "root", 22, True),
        ("in", "root", 80, False),
        ("in", "root", 8080, False),
        ("out", "debian-tor", 9001, True),
        ("out", "_apt", 80, True),
        ("out", "_apt", 9001, False),
        ("out", "root", 80, False),
        ("out", "nobody", 80, False),
        ("out", "nobody", 22, False),
    ],
)
def test_the_firewall_lets_ssh_in_and_tor_and_apt_out(
    walled: tuple[str, str], side: str, user: str, port: int, *, through: bool
) -> None:
    server, neighbour = walled
    source, target, host = (neighbour, server, "192.0.2.1") if side == "in" else (server, neighbour, "192.0.2.2")
    listening = subprocess.Popen(
        ("ip", "netns", "exec", target, "python3", "-c", LISTEN, str(port)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert listening.stdout is not None
    assert listening.stdout.readline() == "ready\n"
    said = run("ip", "netns", "exec", source, "python3", "-c", CONNECT, user, host, str(port)).stdout
    listening.communicate()

    assert (said == "through\n") is through, said


KNOCK = """\
import socket, sys
host, source, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
through = 0
for _ in range(times):
    try:
        socket.create_connection((host, 22), 0.5, (source, 0)).close()
    except TimeoutError:
        break
    through += 1
print(through)
"""
BURST = 10


@pytest.mark.parametrize(
    ("server", "hasty", "neighbour", "same"),
    [
        ("192.0.2.1", "192.0.2.3", "192.0.2.4", False),
        ("2001:db8:0:1::1", "2001:db8:0:1::3", "2001:db8:0:1::4", True),
        ("2001:db8:0:1::1", "2001:db8:0:3::3", "2001:db8:0:4::4", False),
    ],
)
def test_who_knocks_too_often_shuts_ssh_for_nobody_else(
    walled: tuple[str, str], server: str, hasty: str, neighbour: str, *, same: bool
) -> None:
    """Counted are addresses, and whole /64 networks of IPv6."""
    wire = ("dev", "wire", "nodad") if ":" in server else ("dev", "wire")
    for address in (hasty, neighbour):
        run("ip", "-n", walled[1], "address", "add", f"{address}/{48 if ':' in server else 24}", *wire)
    listening = subprocess.Popen(
        ("ip", "netns", "exec", walled[0], "python3", "-c", LISTEN_ALL),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert listening.stdout is not None
    assert listening.stdout.readline() == "ready\n"
    knock = ("ip", "netns", "exec", walled[1], "python3", "-c", KNOCK, server)
    first = int(run(*knock, hasty, "40").stdout)
    second = int(run(*knock, neighbour, "1").stdout)
    listening.communicate()

    assert BURST <= first <= BURST + 2
    assert second == (0 if same else 1)
