"""install.sh on Debian 12 and 13, booted by their own systemd: what it makes, and how strong the walls are.

AppArmor is not in the kernels of test machines: its profile is parsed (test_scripts), and never enforced here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import stat
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nacl.public import PrivateKey

from deploy.conftest import ORGANISATION, Kit, TorNetwork
from deploy.machine import RELEASES, Machine, booted
from support.commands import Done
from support.kept import KEPT, unpack
from support.world import ROOT, Ring, tipbox

pytestmark = pytest.mark.timeout(3600)  # machines and networks are set up on a busy one

UPKEEP = ("prune", "settle", "check", "machine", "onion", "backup", "canary")
UNITS = ("tipbox", "tipbox-courier", "tipbox-alert", *(f"tipbox-{name}" for name in UPKEEP))
LISTENERS = {"tipbox": "/run/tipbox/source.sock", "tipbox-courier": "/run/tipbox-courier/courier.sock"}
FOLDER = ["/var/lib/tipbox", "/var/lib/tipbox/blobs"]
WRITES = {
    "tipbox-machine": ["/tmp"],
    "tipbox-onion": [],
    "tipbox-alert": [],
    "tipbox-backup": [*FOLDER, "/var/lib/tipbox-backup"],
    "tipbox-canary": ["/var/lib/tipbox-canary/lists"],
}
"""Where units may write that do not work on the server's folder alone."""
KEY_READERS = {"tipbox-courier", "tipbox-prune", "tipbox-settle", "tipbox-check"}
LARGEST_EXPOSURE = 1.5
KEPT_FOLDERS = ("etc", "opt", "usr/local", "var/lib/tor", "var/lib/tipbox", "var/lib/tipbox-canary")
CHANGES_BY_ITSELF = re.compile(
    r"etc/(\.updated|ld\.so\.cache|resolv\.conf|machine-id|hostname)$"
    r"|var/lib/tor/(lock|state|cached-.*|keys|router-stability|diff-cache.*|unverified.*|pow.*)"
    r"|var/lib/tipbox/tipbox\.db(-wal|-shm)?$|.*/__pycache__/.*"
)
INSTALL = ("/root/release/deploy/install.sh", "--wheelhouse", "/root/kit", "--signers", "/root/signers")
FIRST = ("--keys", "/root/keys", "--couriers", "/root/couriers", "--operator-key", "/root/operator.pub")


@dataclass(frozen=True)
class Installed:
    """A machine on which install.sh ran twice."""

    machine: Machine
    first: Done
    second: Done
    between: dict[str, tuple[str, ...]]
    after: dict[str, tuple[str, ...]]
    courier_key: str
    operator_key: Path

    def onion(self, name: str) -> str:
        """The host name of an onion service."""
        return self.machine.path(f"/var/lib/tor/tipbox/{name}/hostname").read_text().strip()


def base32(key: bytes) -> str:
    return base64.b32encode(key).decode().rstrip("=")


@pytest.fixture(scope="module", params=RELEASES, name="installed")
def _installed(
    request: pytest.FixtureRequest,
    new_tree: Callable[[str], Path],
    namespace: str,
    tor: TorNetwork,
    kit: Kit,
    organisation: Ring,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installed]:
    courier = PrivateKey.generate()
    couriers = tmp_path_factory.mktemp("couriers")
    operator_key = tmp_path_factory.mktemp("operator") / "operator.key"
    tipbox("server", "backup-key", "--out", operator_key)
    (couriers / "anna.auth").write_text(f"descriptor:x25519:{base32(bytes(courier.public_key))}\n")
    root = new_tree(request.param)
    for name in ("home/somebody", "root"):
        (root / name).mkdir(exist_ok=True)
        (root / name / "note").write_text("nobody else reads this\n")
    with booted(request.param, root, namespace) as machine:
        for source, target in (
            (ROOT / "deploy", "/root/release/deploy"),
            (kit.server, "/root/kit"),
            (kit.signers, "/root/signers"),
            (organisation.keys, "/root/keys"),
            (couriers, "/root/couriers"),
            (operator_key.with_name("operator.key.pub"), "/root/operator.pub"),
        ):
            machine.put(source, target)
        # The network of the test in place of the world's: all that differs from a real server.
        machine.path("/etc/tor/torrc.d").mkdir()
        machine.path("/etc/tor/torrc.d/testing.conf").write_text(f"Address 127.0.0.1\n{tor.joining}")
        first = machine.run(*INSTALL, *FIRST)
        between = snapshot(root)
        second = machine.run(*INSTALL, *FIRST)
        yield Installed(machine, first, second, between, snapshot(root), base32(bytes(courier)), operator_key)


def snapshot(root: Path) -> dict[str, tuple[str, ...]]:
    """Type, mode, owner and content of everything that an installation could touch and nothing else changes."""
    found: dict[str, tuple[str, ...]] = {}
    for folder in KEPT_FOLDERS:
        for path in [root / folder, *(root / folder).rglob("*")]:
            name = str(path.relative_to(root))
            if CHANGES_BY_ITSELF.match(name):
                continue
            status = path.lstat()
            content = ""
            if stat.S_ISLNK(status.st_mode):
                content = str(path.readlink())
            elif stat.S_ISREG(status.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = (oct(status.st_mode), f"{status.st_uid}:{status.st_gid}", content)
    return found


# --- installing -------------------------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing(installed: Installed) -> None:
    assert "wrote /etc/systemd/system/tipbox.service" in installed.first.out
    assert installed.first.out.count("A test tip is stored.") == 1
    assert "wrote " not in installed.second.out
    assert "A test tip is stored." not in installed.second.out
    assert installed.after == installed.between
    assert len(installed.after) > 1000


def test_the_report_names_the_addresses_and_finds_everything_well(installed: Installed) -> None:
    for name in ("sources", "couriers"):
        assert re.search(rf"^{name} +[a-z2-7]{{56}}\.onion$", installed.first.out + installed.second.out, re.MULTILINE)
    assert "couriers    1 with a key" in installed.first.out
    assert "BAD" not in installed.first.out + installed.second.out


def test_units_are_active_and_enabled(installed: Installed) -> None:
    machine = installed.machine
    for unit in (*LISTENERS, "tor@default"):
        assert machine.property(unit, "ActiveState") == "active", unit
        assert machine.property(unit, "NRestarts") == "0", unit
    for unit in (*(f"{name}.service" for name in LISTENERS), *(f"tipbox-{one}.timer" for one in UPKEEP)):
        assert machine.run("systemctl", "is-enabled", unit).out.strip() == "enabled"
    assert machine.run("systemctl", "--failed", "--plain", "--no-legend").out == ""


def test_each_upkeep_unit_does_its_work(installed: Installed) -> None:
    for name in UPKEEP:
        result, said = upkeep(installed.machine, name)
        assert result == "success", said


def upkeep(machine: Machine, name: str) -> tuple[str, str]:
    """Run a unit of the upkeep: its result, and what it says."""
    unit = f"tipbox-{name}.service"
    machine.run("systemctl", "start", unit, expect=None)
    since = f"_SYSTEMD_INVOCATION_ID={machine.property(unit, 'InvocationID')}"
    said = machine.run("journalctl", "--namespace=tipbox", "--no-pager", "--output=cat", since).out
    result = machine.property(unit, "Result")
    machine.run("systemctl", "reset-failed", unit)
    return result, said


def test_the_nightly_check_of_the_machine_really_asks(installed: Installed) -> None:
    """Within its walls too: what it cannot ask would be BAD."""
    _, said = upkeep(installed.machine, "machine")

    assert said.splitlines() == [
        "well  tor: tor has proof of work.",
        f"well  units: {len(UNITS) + 1} units are hardened.",
        "well  couriers: the couriers' onion service lets in only who has a key.",
    ]


LOOSE = (
    "[Service]\nPrivateNetwork=no\nProtectSystem=no\nUser=root\nCapabilityBoundingSet=CAP_SYS_ADMIN\nPrivateUsers=no\n"
)
TROUBLES = {
    "tor without proof of work": (
        "tipbox-machine.service",
        "[Service]\nEnvironment=PATH=/opt/tipbox/other:/usr/sbin:/usr/bin\n",
        "BAD   tor: this tor has no proof of work",
    ),
    "a unit is loosened": (
        "tipbox-prune.service",
        LOOSE + "NoNewPrivileges=no\nRestrictAddressFamilies=\nSystemCallFilter=\n",
        "BAD   units: more exposed than they may be: tipbox-prune.service.",
    ),
    "tor is loosened": (
        "tor@default.service",
        LOOSE + "NoNewPrivileges=no\nRestrictAddressFamilies=\nSystemCallFilter=\n",
        "BAD   units: more exposed than they may be: tor@default.service.",
    ),
    "systemd cannot be asked": (
        "tipbox-machine.service",
        "[Service]\nReadOnlyPaths=/tmp\n",
        "BAD   units: systemd does not say how exposed they are: ",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_nightly_check_of_the_machine_fails_when_something_is_wrong(installed: Installed, trouble: str) -> None:
    machine = installed.machine
    unit, text, expected = TROUBLES[trouble]
    tor = machine.path("/opt/tipbox/other/tor")
    tor.parent.mkdir(exist_ok=True)
    tor.write_text("#!/bin/sh\necho 'pow: no'\n")
    tor.chmod(0o755)
    drop_in = machine.path(f"/etc/systemd/system/{unit}.d/trouble.conf")
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text(text)
    machine.run("systemctl", "daemon-reload")
    try:
        result, said = upkeep(machine, "machine")
    finally:
        drop_in.unlink()
        if not any(drop_in.parent.iterdir()):
            drop_in.parent.rmdir()
        machine.run("systemctl", "daemon-reload")

    assert expected in said
    assert said.count("BAD") == 1
    assert result == "exit-code"


def test_an_open_couriers_listener_is_found_at_night_and_by_hand(installed: Installed) -> None:
    machine = installed.machine
    clients = machine.path("/var/lib/tor/tipbox/couriers/authorized_clients")
    aside = clients.with_name("aside")
    by_hand = machine.run("tipbox-server", "check", "--json")
    clients.rename(aside)
    clients.mkdir()
    try:
        result, said = upkeep(machine, "machine")
        opened = machine.run("tipbox-server", "check", "--json", expect=8)
        clients.rmdir()
        gone, _ = upkeep(machine, "machine")
    finally:
        aside.rename(clients)

    assert all(finding["ok"] for finding in json.loads(by_hand.out))
    assert "BAD   couriers: the couriers' onion service knows no key" in said
    assert [one["check"] for one in json.loads(opened.out) if not one["ok"]] == ["couriers"]
    assert (result, gone) == ("exit-code", "exit-code")


def test_listeners_belong_to_users_of_their_own_and_tor_cannot_read_the_tips(installed: Installed) -> None:
    machine = installed.machine
    for unit, path in LISTENERS.items():
        assert machine.run("stat", "-c", "%U:%G %a", path).out.strip() == f"{unit}:{unit} 660"
        assert machine.property(unit, "User") == unit
    assert machine.run("stat", "-c", "%U %a", "/var/lib/tipbox/server.key").out.strip() == "tipbox-courier 600"
    for user, folder in (("debian-tor", "/var/lib/tipbox"), ("tipbox", "/var/lib/tor"), ("nobody", "/var/lib/tipbox")):
        refused = machine.run("runuser", "-u", user, "--", "ls", folder, expect=2)
        assert "Permission denied" in refused.err


# --- walls ------------------------------------------------------------------------------------------------------------


def test_systemd_finds_no_fault_in_the_units(installed: Installed) -> None:
    units = [f"{name}.service" for name in UNITS] + [f"tipbox-{name}.timer" for name in UPKEEP]
    verified = installed.machine.run("systemd-analyze", "verify", *units)

    assert [line for line in (verified.out + verified.err).splitlines() if "tipbox" in line] == []


@pytest.mark.parametrize("unit", [*UNITS, "tor@default"])
def test_exposure_is_bounded(installed: Installed, unit: str) -> None:
    told = installed.machine.run("systemd-analyze", "security", "--no-pager", f"{unit}.service").out
    found = re.search(r"Overall exposure level for .*: ([0-9.]+) ", told)

    assert found is not None
    assert float(found[1]) <= LARGEST_EXPOSURE


@pytest.fixture(scope="module", name="probes")
def _probes(installed: Installed) -> dict[str, Any]:
    """What a program can do that runs exactly as each unit does."""
    return {unit: probe(installed.machine, unit) for unit in UNITS}


def probe(machine: Machine, unit: str) -> Any:
    """Run probe.py in place of a unit's program; only what starts and reports it is another."""
    machine.put(Path(__file__).with_name("probe.py"), "/opt/tipbox/probe.py")
    text = machine.path(f"/etc/systemd/system/{unit}.service").read_text()
    text = re.sub(
        r"^(Type|Restart|RestartSec|RuntimeDirectory|RuntimeDirectoryMode|After|Wants|Condition\w+)=.*$",
        "",
        text,
        flags=re.MULTILINE,
    )
    text = re.sub(r"^ExecStart=.*$", "ExecStart=/usr/bin/python3 /opt/tipbox/probe.py", text, flags=re.MULTILINE)
    text = text.replace("[Unit]", "[Unit]\nStartLimitIntervalSec=0")  # one after the other, on a fast machine
    text = text.replace("[Service]", "[Service]\nType=oneshot\nStandardOutput=truncate:/run/probe.json")
    machine.path("/etc/systemd/system/probe.service").write_text(text)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "probe.service")
    return json.loads(machine.run("cat", "/run/probe.json").out)


newest = pytest.mark.parametrize("installed", [max(RELEASES)], indirect=True)
oldest = pytest.mark.parametrize("installed", [min(RELEASES)], indirect=True)
"""What takes a whole installation each time, and is the same on both, is done on one."""
every_unit = pytest.mark.parametrize("unit", UNITS)


@every_unit
def test_sandbox_no_network(probes: dict[str, Any], unit: str) -> None:
    assert set(probes[unit]["connect"].values()) == {"EAFNOSUPPORT"}


@every_unit
def test_sandbox_no_write_outside(probes: dict[str, Any], unit: str) -> None:
    assert probes[unit]["write"] == WRITES.get(unit, FOLDER)


def test_sandbox_the_sources_listener_replaces_neither_keys_nor_settings(probes: dict[str, Any]) -> None:
    found = probes["tipbox"]
    assert set(found["replace"].values()) == {"EBUSY"}
    assert set(found["overwrite"].values()) <= {"EBUSY", "EISDIR"}
    assert set(found["remove"].values()) <= {"EBUSY", "EISDIR"}
    assert len(found["overwrite"]) == len(found["remove"]) == len(found["replace"])
    assert found["write_keys"] == "EROFS"


@every_unit
def test_sandbox_no_home_and_nobody_elses_secrets(probes: dict[str, Any], unit: str) -> None:
    found = probes[unit]
    assert set(found["secrets"].values()) <= {"EACCES", "ENOENT"}
    assert found["server_key"] == ("ok" if unit in KEY_READERS else "EACCES")
    assert found["others"] == [found["user"]]


@every_unit
def test_sandbox_no_core_no_privilege_no_new_code(probes: dict[str, Any], unit: str) -> None:
    found = probes[unit]
    assert found["core"] == [0, 0]
    assert found["capabilities"] == 0
    assert found["no_new_privileges"] == "1"
    assert found["seccomp"] == "2"
    assert found["user"] != 0
    assert found["write_and_execute"] in {"EACCES", "EPERM"}  # by the kernel's own rule, or by the system call filter
    assert found["execute_data"] in {"EACCES", "EPERM"}
    assert found["namespace"] == "EPERM"
    assert found["trace"] == "EPERM"


def test_running_listeners_have_a_network_of_nothing_no_swap_and_no_core(installed: Installed) -> None:
    machine = installed.machine
    outside = str(Path(f"/proc/{machine.leader}/ns/net").readlink())
    networks = set()
    for unit in LISTENERS:
        pid = machine.property(unit, "MainPID")
        networks.add(machine.run("readlink", f"/proc/{pid}/ns/net").out.strip())
        limits = machine.run("cat", f"/proc/{pid}/limits").out
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
        assert machine.property(unit, "MemorySwapMax") == "0"
    assert outside not in networks
    assert len(networks) == len(LISTENERS)


def test_words_of_the_units_are_kept_in_memory_only(installed: Installed) -> None:
    machine = installed.machine
    said = machine.run("journalctl", "--namespace=tipbox", "--no-pager").out
    assert "Listening at: unix:/run/tipbox/source.sock" in said
    assert "Listening at" not in machine.run("journalctl", "--no-pager").out
    assert not list(machine.path("/var/log/journal").glob("*.tipbox/*"))
    files = [
        line
        for line in machine.run("journalctl", "--namespace=tipbox", "--header").out.splitlines()
        if "File path" in line
    ]
    assert files
    assert all(line.split(": ", 1)[1].startswith("/run/log/journal/") for line in files)


# --- over Tor ---------------------------------------------------------------------------------------------------------


def test_a_tip_goes_in_by_one_onion_and_out_by_the_other(
    installed: Installed, tor: TorNetwork, organisation: Ring, tmp_path: Path
) -> None:
    message = tmp_path / "message"
    message.write_text(f"seen from Debian {installed.machine.version}")
    keys = ("--keys", organisation.keys)
    sources, couriers = (f"http://{installed.onion(name)}" for name in ("sources", "couriers"))
    tor.tipbox("source", "send", sources, "--socks", tor.socks, *keys, "--message-file", message)

    host = installed.onion("couriers").removesuffix(".onion")
    held = tor.courier(f"anna{installed.machine.version}", f"{host}:descriptor:x25519:{installed.courier_key}")
    listed = json.loads(fetch(tor.namespace, held, f"{couriers}/courier/bundles/{ORGANISATION}"))
    bundles = tmp_path / "bundles"
    bundles.mkdir()
    for volume in listed["volumes"]:
        data = fetch(tor.namespace, held, f"{couriers}/courier/bundles/{ORGANISATION}/{volume['name']}")
        (bundles / volume["name"]).write_bytes(data)
    desk = organisation.copy(tmp_path / "ring").desks[ORGANISATION]
    desk.take(bundles)
    messages = {desk.open(tip["id"], tmp_path / tip["id"]).message for tip in desk.tips()}

    assert message.read_bytes() in messages
    assert sum(one.startswith(b"Test of the tip line, sent by its operator") for one in messages) == 1
    with pytest.raises(subprocess.CalledProcessError):
        fetch(tor.namespace, tor.socks, f"{couriers}/courier/bundles/{ORGANISATION}")


def fetch(namespace: str, socks: str, url: str) -> bytes:
    """GET through a SOCKS port of the private network."""
    command = ("curl", "--silent", "--fail", "--retry", "3", "--retry-all-errors", "--max-time", "120")
    inside = ("ip", "netns", "exec", namespace)
    return subprocess.run((*inside, *command, "--socks5-hostname", socks, url), capture_output=True, check=True).stdout


@newest
@pytest.mark.parametrize(
    "link", ["authorized_clients", "authorized_clients/nobody.auth", "authorized_clients/anna.auth"]
)
def test_links_that_tors_user_made_lead_root_nowhere(installed: Installed, link: str) -> None:
    """A tor that was broken into cannot have install.sh write elsewhere, or give it what is root's."""
    machine = installed.machine
    couriers = machine.path("/var/lib/tor/tipbox/couriers")
    aside, target = couriers / "aside", machine.path("/root/victim")
    folder = couriers / "authorized_clients"
    folder.rename(aside)
    if "/" in link:
        machine.run("install", "-d", "-m", "700", "-o", "debian-tor", "/var/lib/tor/tipbox/couriers/authorized_clients")
        target.write_text("root's\n")
    else:
        target.mkdir()
    (couriers / link).symlink_to("/root/victim")
    before = target.lstat()
    try:
        done = machine.run(*INSTALL, *FIRST, expect=None)
        after = target.lstat()
        content = "" if target.is_dir() else target.read_text()
        inside = sorted(target.iterdir()) if target.is_dir() else []
    finally:
        machine.run("rm", "-rf", "/var/lib/tor/tipbox/couriers/authorized_clients", "/root/victim")
        aside.rename(folder)

    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode), done.out
    assert content in {"", "root's\n"}
    assert inside == []


def test_a_canary_goes_through_tors_socket_and_reaches_the_desk(
    installed: Installed, organisation: Ring, tmp_path: Path
) -> None:
    machine = installed.machine
    desk = organisation.copy(tmp_path / "ring").desks[ORGANISATION]
    lists, place = tmp_path / "lists", "/var/lib/tipbox-canary/lists"
    lists.mkdir()
    desk.run("canary", "new", "--out", lists / f"{ORGANISATION}.canaries")
    skipped, _ = upkeep(machine, "canary")
    assert machine.property("tipbox-canary.service", "ConditionResult") == "no"
    for path in lists.iterdir():
        machine.put(path, f"/root/{path.name}")
        install = ("install", "-o", "tipbox-canary", "-g", "tipbox-canary", "-m", "600")
        machine.run(*install, f"/root/{path.name}", f"{place}/{path.name}")
    result, said = upkeep(machine, "canary")
    machine.run("find", place, "-name", "*.canaries", "-delete")

    assert (skipped, result) == ("success", "success"), said
    assert f"The server has stored a canary for {ORGANISATION}" in said
    assert machine.run("stat", "-c", "%U:%G %a", "/run/tipbox-canary").out == "debian-tor:tipbox-canary 2750\n"
    desk.take(exported(machine, tmp_path / "bundles"))
    assert len(desk.run("canary", "list", "--json").json["came"]) == 1


SOCKS = """\
import socket, sys
line = socket.socket(socket.AF_UNIX)
line.settimeout(30)
try:
    line.connect("/run/tipbox-canary/socks.sock")
    host = sys.argv[1].encode()
    line.sendall(b"\\5\\1\\0" + b"\\5\\1\\0\\3" + bytes([len(host)]) + host + b"\\0\\x50")
    print(line.recv(2).hex(), line.recv(2).hex())
except OSError as error:
    print(type(error).__name__)
"""


def test_tors_socket_serves_canaries_only_and_goes_to_onions_only(installed: Installed) -> None:
    def asked(user: str, host: str) -> str:
        return installed.machine.run("runuser", "-u", user, "--", "python3", "-c", SOCKS, host).out.strip()

    assert {asked(user, "example.org") for user in ("tipbox", "tipbox-courier", "nobody")} == {"PermissionError"}
    assert asked("tipbox-canary", "example.org") == "0500 0502"  # not allowed by the rules
    assert asked("tipbox-canary", "192.0.2.1") == "0500 0502"
    assert "socks.sock" not in installed.machine.run("ss", "--listening", "--tcp", "--no-header").out


# --- backups ----------------------------------------------------------------------------------------------------------


def exported(machine: Machine, out: Path) -> Path:
    """Everything for the organisation, as the couriers' listener would hand it out."""
    machine.run("install", "-d", "-o", "tipbox-courier", "/run/exported")
    machine.run("tipbox-server", "export", "--to", ORGANISATION, "--out", "/run/exported")
    out.mkdir()
    for name in machine.run("ls", "/run/exported").out.split():
        data = machine.run("base64", f"/run/exported/{name}").out
        (out / name).write_bytes(base64.b64decode(data))
    machine.run("rm", "-r", "/run/exported")
    return out


def test_a_nightly_backup_brings_back_tips_keys_and_addresses(installed: Installed) -> None:
    """Its user reads what systemd hands it, nobody else reads the result, and a server runs on what came back."""
    machine = installed.machine
    result, said = upkeep(machine, "backup")
    assert result == "success", said
    (backup,) = machine.path("/var/lib/tipbox-backup").iterdir()
    assert re.fullmatch(r"tipbox-[0-9]{4}-[0-9]{2}-[0-9]{2}\.bak", backup.name)
    for user in ("tipbox", "tipbox-courier", "debian-tor"):
        assert "denied" in machine.run("runuser", "-u", user, "--", "ls", "/var/lib/tipbox-backup", expect=2).err
    machine.put(installed.operator_key, "/root/operator.key")
    machine.put(backup, "/root/night.bak")
    identity = ("--identity", "/root/operator.key")
    drilled = machine.run("tipbox-server", "drill", *identity, "/root/night.bak", "--json")

    before = stored(machine)
    addresses = [installed.onion(name) for name in ("sources", "couriers")]
    clients = tree(machine, "/var/lib/tor/tipbox")
    machine.run("systemctl", "stop", "tor@default", *LISTENERS)
    for folder in ("/var/lib/tipbox", "/var/lib/tor/tipbox"):
        machine.run("find", folder, "-mindepth", "1", "!", "-name", "tipbox.toml", "-delete")
    machine.run("tipbox-server", "restore", *identity, "--onion", "/var/lib/tor/tipbox", "/root/night.bak")
    machine.run("systemctl", "start", "tor@default", *LISTENERS)

    assert json.loads(drilled.out)["envelopes"] == len(before)
    assert json.loads(drilled.out)["problems"] == []
    assert before
    assert stored(machine) == before
    assert [installed.onion(name) for name in ("sources", "couriers")] == addresses
    assert tree(machine, "/var/lib/tor/tipbox") == clients
    assert {machine.property(unit, "ActiveState") for unit in (*LISTENERS, "tor@default")} == {"active"}
    machine.run("tipbox-server", "check")
    by_hand = ("--out", "/root/hand.bak", "--to", "/root/operator.pub", "--onion", "/var/lib/tor/tipbox", "--json")
    assert json.loads(machine.run("tipbox-server", "backup", *by_hand).out)["onion_files"] == len(clients)

    # A process that was broken into leaves a link where root's command is about to write.
    for name in ("upkeep.lock", "tipbox.db"):
        place = f"/var/lib/tipbox/{name}"
        machine.run("mv", place, f"{place}.aside")
        machine.run("ln", "-s", "/root/victim", place)
        machine.run("tipbox-server", "backup", *by_hand, expect=None)
        machine.run("mv", "-T", f"{place}.aside", place)
        assert not machine.path("/root/victim").exists(), name


def stored(machine: Machine) -> set[str]:
    """The ids of what is stored."""
    return set(machine.run("python3", "-c", LIST_ENVELOPES).out.split())


def tree(machine: Machine, folder: str) -> dict[str, tuple[str, bytes]]:
    """Owner, mode and content of each file."""
    found = machine.run("find", folder, "-type", "f", "-printf", "%p %u:%g:%m\n").out.splitlines()
    return {name: (mode, machine.path(name).read_bytes()) for name, mode in (line.split() for line in found)}


# --- upgrading --------------------------------------------------------------------------------------------------------


def other_wheel(wheel: Path, out: Path, version: str, changes: dict[str, bytes]) -> Path:
    """The same wheel as another version, with files changed."""
    old = wheel.name.split("-")[1]
    target = out / wheel.name.replace(f"-{old}-", f"-{version}-")
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for item in source.infolist():
            data = changes.get(item.filename, source.read(item))
            if item.filename.endswith(".dist-info/METADATA"):
                data = data.replace(f"Version: {old}\n".encode(), f"Version: {version}\n".encode(), 1)
            name = item.filename.replace(f"tipbox-{old}.dist-info/", f"tipbox-{version}.dist-info/")
            made.writestr(
                name,
                data.replace(f"tipbox-{old}.dist-info/".encode(), f"tipbox-{version}.dist-info/".encode())
                if name.endswith("/RECORD")
                else data,
            )
    return target


@pytest.fixture(scope="module", name="others")
def _others(kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel as two other versions: each machine installs each of them once, and then goes from one to the other."""
    folder = tmp_path_factory.mktemp("others")
    return (other_wheel(kit.wheel, folder, "0.8.0", {}), other_wheel(kit.wheel, folder, "0.8.1", {}))


def release(machine: Machine) -> str:
    """The version that runs."""
    return machine.path("/opt/tipbox/current").readlink().name.split("-")[0]


def another(machine: Machine, others: tuple[Path, Path]) -> tuple[Path, str]:
    """A wheel that is not what runs, and its version."""
    running = release(machine)
    return next((one, version) for one in others if (version := one.name.split("-")[1]) != running)


def upgrade(installed: Installed, wheel: Path, expect: int) -> Done:
    installed.machine.put(wheel, f"/root/{wheel.name}")
    command = ("/root/release/deploy/upgrade.sh", "--wheel", f"/root/{wheel.name}", "--wheelhouse", "/root/kit")
    # The machine goes from one to the other, and back.
    return installed.machine.run(*command, "--older", expect=expect)


OPEN_DATABASE = "import sqlite3; d = sqlite3.connect('file:/var/lib/tipbox/tipbox.db?mode=ro', uri=True)"

LIST_ENVELOPES = OPEN_DATABASE + "; print(*(row.hex() for row, in d.execute('SELECT id FROM envelope')))"  # noqa: S608


def dump(machine: Machine) -> str:
    """The database as text, with its schema."""
    return machine.run("python3", "-c", f"{OPEN_DATABASE}; print(*d.iterdump(), sep=chr(10))").out


@newest
def test_an_upgrade_takes_the_database_of_the_release_before_with_all_it_holds(
    installed: Installed, others: tuple[Path, Path], tmp_path: Path
) -> None:
    machine = installed.machine
    wheel, version = another(machine, others)
    machine.run("systemctl", "stop", *LISTENERS)
    for folder in ("/var/lib/tipbox", "/etc/tipbox/keys"):
        machine.run("mv", folder, f"{folder}-aside")
    kept = unpack("first", tmp_path / "kept")
    machine.put(kept, "/var/lib/tipbox")
    machine.put(kept / "keys", "/etc/tipbox/keys")
    machine.run("chmod", "-R", "a+rX", "/etc/tipbox/keys")
    machine.run("systemd-tmpfiles", "--create", "tipbox.conf")
    machine.run("chown", "-R", "tipbox-courier:tipbox-state", "/var/lib/tipbox")
    machine.run("chown", "root", "/var/lib/tipbox")
    machine.run("chmod", "-R", "u=rwX,g=rwX,o=", "/var/lib/tipbox")
    machine.run("chmod", "2770", "/var/lib/tipbox")
    machine.run("chmod", "600", "/var/lib/tipbox/server.key")
    expected = json.loads((KEPT / "first" / "expected.json").read_text())
    done = upgrade(installed, wheel, 0)
    stored = machine.run("python3", "-c", LIST_ENVELOPES)
    states = {machine.property(unit, "ActiveState") for unit in LISTENERS}
    machine.run("systemctl", "stop", *LISTENERS)
    for folder in ("/var/lib/tipbox", "/etc/tipbox/keys"):
        machine.run("rm", "-rf", folder)
        machine.run("mv", f"{folder}-aside", folder)
    machine.run("systemctl", "start", *LISTENERS)

    assert release(machine) == version
    assert f"release {version}" in done.out
    assert sorted(stored.out.split()) == sorted(expected["envelopes"])
    assert states == {"active"}
    assert not machine.path("/var/lib/tipbox-upgrade").exists()


STAND_STILL = """\
import sqlite3
from datetime import UTC, datetime, timedelta
day = (datetime.now(UTC) - timedelta(days=10)).date().isoformat()
with sqlite3.connect("/var/lib/tipbox/tipbox.db") as database:
    for table, column in (("ledger", "last_day"), ("envelope", "day"), ("day_count", "day")):
        database.execute(f"UPDATE {table} SET {column} = ?", (day,))
database.close()
open("/var/lib/tipbox/settled", "w").write(day)
"""


@newest
@pytest.mark.parametrize("answers", [True, False], ids=["", "and the old version is too old to say what it finds"])
def test_a_server_that_stood_still_for_ten_days_is_upgraded_and_says_what_it_found(
    installed: Installed, others: tuple[Path, Path], *, answers: bool
) -> None:
    """Off, or its listeners stopped: the new version is the first to see that the clock went on."""
    machine = installed.machine
    wheel, version = another(machine, others)
    machine.run("systemctl", "stop", *LISTENERS)
    machine.run("cp", "-a", "/var/lib/tipbox", "/var/lib/tipbox-aside")
    program = machine.path("/opt/tipbox") / machine.path("/opt/tipbox/current").readlink() / "bin" / "tipbox"
    script = program.read_text()
    machine.run("runuser", "-u", "tipbox-courier", "--", "python3", "-c", STAND_STILL)
    before = machine.run("tipbox-server", "check", expect=8)
    if not answers:
        program.write_text("#!/bin/sh\necho 'Error: No such option: --json' >&2\nexit 2\n")
    try:
        done = upgrade(installed, wheel, 0)
        after = machine.run("tipbox-server", "check", expect=8)
        states = {machine.property(unit, "ActiveState") for unit in LISTENERS}
    finally:
        program.write_text(script)
        machine.run("systemctl", "stop", *LISTENERS)
        machine.run("rm", "-rf", "/var/lib/tipbox")
        machine.run("mv", "/var/lib/tipbox-aside", "/var/lib/tipbox")
        machine.run("systemctl", "start", *LISTENERS)

    assert [line.split(":")[0] for line in before.out.splitlines() if line.startswith("BAD")] == ["BAD   settled"]
    settled = "settled: closed days were settled last on "
    if answers:
        assert f"was there before, and still is: {settled}" in done.out
    else:
        assert "what was there before is not known: the earlier version did not say" in done.out
        assert f"came with time, not with this version: {settled}" in done.out
    assert "came with time, not with this version: clock: the clock jumped" in done.out
    assert "the upgrade was taken back" not in done.out + done.err
    assert [line.split(":")[0] for line in after.out.splitlines() if line.startswith("BAD")] == [
        "BAD   clock",
        "BAD   settled",
    ]
    assert states == {"active"}
    assert release(machine) == version
    assert not machine.path("/var/lib/tipbox-upgrade").exists()


@newest
def test_an_upgrade_that_is_not_well_is_taken_back(installed: Installed, kit: Kit, tmp_path: Path) -> None:
    """The new version migrates, starts, and finds fault with itself: the database must be the old one again."""
    machine = installed.machine
    before, running = dump(machine), machine.path("/opt/tipbox/current").readlink()
    with zipfile.ZipFile(kit.wheel) as wheel:
        check = wheel.read("tipbox/server/upkeep/check.py")
        run = wheel.read("tipbox/server/storage/database.py")
    changed, found = re.subn(
        rb"(?s)(\ndef migrate\(.*?\n( +)current = _revision\(connection\)\n)",
        rb'\1\2connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS newer (id INTEGER)")\n',
        run,
    )
    assert found == 1, "nothing was put into the migration"
    broken = check + b"\n\ndef _ledger(server: OpenServer, _today: date) -> Finding:\n    raise RuntimeError\n"
    broken += b"\n\n_CHECKS = tuple(_ledger if one.__name__ == '_ledger' else one for one in _CHECKS)\n"
    files = {"tipbox/server/upkeep/check.py": broken, "tipbox/server/storage/database.py": changed}
    done = upgrade(installed, other_wheel(kit.wheel, tmp_path, "0.9.1", files), 1)

    assert "the upgrade was taken back, and the old version runs" in done.err
    assert "NEW: ledger: the check failed: RuntimeError" in done.out
    assert dump(machine) == before
    assert machine.path("/opt/tipbox/current").readlink() == running
    assert {machine.property(unit, "ActiveState") for unit in LISTENERS} == {"active"}
    assert not machine.path("/var/lib/tipbox-upgrade").exists()


CUTS = (
    ('run mv -T "$COPY/state.part" "$COPY/state"',),
    ('use_release "$new"',),
    ("trap - EXIT", 'copy_folder "$COPY/state" "$STATE"'),
    ("open_listeners",),
    ('run rm -rf "$COPY"',),
)
"""Lines of upgrade.sh before which its power is cut, and then that of the run that takes it back."""
MARK = "/var/lib/tipbox/blobs/answered"
KNOCK = "import socket; socket.socket(socket.AF_UNIX).connect('/run/tipbox/source.sock')"


def tor_gets_in(machine: Machine) -> bool:
    """Whether tor reaches the sources' listener."""
    return machine.run("runuser", "-u", "debian-tor", "--", "python3", "-c", KNOCK, expect=None).code == 0


def cut_off(machine: Machine, script: str, line: str, wheel: Path) -> None:
    """Run upgrade.sh until before a line; the last one that is spelled so."""
    lines = script.splitlines()
    (*_, place) = (number for number, one in enumerate(lines) if one.strip() == line)
    lines.insert(place, "kill -KILL $$")
    cut = machine.path("/root/release/deploy/upgrade-cut.sh")
    cut.write_text("\n".join(lines) + "\n")
    cut.chmod(0o755)
    done = machine.run(
        *("bash", "-c", '"$@"; test $? = 137', "-", "/root/release/deploy/upgrade-cut.sh"),
        *("--wheel", f"/root/{wheel.name}", "--wheelhouse", "/root/kit", "--older"),
        expect=None,
    )
    assert done.code == 0, f"{line}\n{done.out}\n{done.err}"


@newest
def test_wherever_an_upgrade_is_cut_off_nothing_that_was_answered_is_lost(
    installed: Installed, others: tuple[Path, Path]
) -> None:
    """Whatever got in after the cut is there after the next run, which ends well with the listeners open."""
    machine = installed.machine
    script = machine.path("/root/release/deploy/upgrade.sh").read_text()
    before = dump(machine)
    for cuts in CUTS:
        wheel, version = another(machine, others)
        machine.put(wheel, f"/root/{wheel.name}")
        machine.run("rm", "-f", MARK)
        for cut in cuts:
            cut_off(machine, script, cut, wheel)
            trial = tor_gets_in(machine)
            # As after a restart: what is in memory is gone, and systemd starts what it would start.
            machine.run("systemctl", "stop", *LISTENERS)
            machine.run("rm", "-f", "/run/tipbox-upgrade")
            machine.run("systemctl", "daemon-reload")
            machine.run("systemctl", "start", *LISTENERS)
        opened, judged = tor_gets_in(machine), not machine.path("/var/lib/tipbox-upgrade/state").exists()
        if opened:
            machine.path(MARK).write_text("stored\n")
        upgrade(installed, wheel, 0)

        assert opened is judged, cuts
        assert judged or not trial, cuts
        assert machine.path(MARK).exists() is opened, cuts
        assert tor_gets_in(machine), cuts
        assert release(machine) == version, cuts
        assert not machine.path("/var/lib/tipbox-upgrade").exists(), cuts
        assert not list(machine.path("/etc/systemd/system").glob("tipbox*.d/upgrade*")), cuts
        assert dump(machine) == before, cuts
    machine.run("rm", "-f", MARK)


# --- taking it off ----------------------------------------------------------------------------------------------------


@oldest
def test_uninstalling_leaves_the_data_and_installing_again_takes_it_up(installed: Installed) -> None:
    machine = installed.machine
    before, address = dump(machine), installed.onion("sources")
    machine.run("/root/release/deploy/uninstall.sh")

    assert not list(machine.path("/etc/systemd/system").glob("tipbox*"))
    assert not machine.path("/opt/tipbox").exists()
    assert machine.property("tipbox.service", "LoadState") == "not-found"

    machine.run(*INSTALL)
    assert dump(machine) == before
    assert installed.onion("sources") == address
    assert {machine.property(unit, "ActiveState") for unit in LISTENERS} == {"active"}

    machine.run("/root/release/deploy/uninstall.sh", "--destroy-data")
    gone = ("/var/lib/tipbox", "/var/lib/tipbox-backup", "/var/lib/tor/tipbox", "/etc/tipbox", "/opt/tipbox")
    assert [path for path in gone if machine.path(path).exists()] == []
    users = machine.path("/etc/passwd").read_text() + machine.path("/etc/group").read_text()
    assert "tipbox" not in users
