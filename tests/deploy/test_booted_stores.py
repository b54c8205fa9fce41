"""install.sh with the stores on another machine, and no network for tor: the walls stay, and a person is told."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.conftest import ORGANISATION, Kit
from deploy.machine import RELEASES, Machine, booted, network_namespace
from deploy.outer_stores import BLOBS, DATABASE, PORTS, RATES, SECRETS, STORES, Stores, outer_stores
from support.commands import Done
from support.loopback import until
from support.world import ROOT, Ring, tipbox

pytestmark = pytest.mark.timeout(3600)  # a machine and its stores are set up on a busy one

LISTENERS = ("tipbox", "tipbox-courier")
UPKEEP = ("prune", "settle", "check", "backup")
WITH_STORES = (*LISTENERS, *(f"tipbox-{name}" for name in UPKEEP))
RELAYS = ("database", "blobs", "rates")
LARGEST_EXPOSURE = 1.5
INSTALL = ("/root/release/deploy/install.sh", "--wheelhouse", "/root/kit", "--signers", "/root/signers")
FIRST = ("--keys", "/root/keys", "--operator-key", "/root/operator.pub", "--plain", "yes")
OUTER = (
    *("--database", f"postgresql://tipbox@{DATABASE}/tips", "--blobs", f"https://{BLOBS}:8333/tipbox/box"),
    *("--rates", f"rediss://{RATES}", "--secrets", "/root/secrets.toml", "--stores-ca", "/root/ca.pem"),
)
FINDINGS = "/var/lib/tipbox-alert/findings"
TOLD_SECONDS = 300
"""On a busy machine, and with one more try of the unit that tells."""
CONNECT = """\
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5).close()
    print("ok")
except OSError as error:
    print(type(error).__name__)
"""
ASK = """\
import socket
line = socket.socket(socket.AF_UNIX)
line.connect("/run/tipbox/source.sock")
line.sendall(b"PROXY TCP6 fc00::1 ::1 1 80\\r\\nGET /en/ HTTP/1.1\\r\\nHost: check\\r\\nConnection: close\\r\\n\\r\\n")
print(line.recv(64).decode())
"""
ASK_PLAIN = ASK.replace("source.sock", "plain.sock").replace("/en/", "/plain/en/")


@dataclass(frozen=True)
class Installed:
    """A machine on which install.sh ran twice, and its stores."""

    machine: Machine
    stores: Stores
    first: Done
    second: Done


@pytest.fixture(scope="module", name="installed")
def _installed(
    new_tree: Callable[[str], Path], kit: Kit, organisation: Ring, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    version = max(RELEASES)
    given = tmp_path_factory.mktemp("given")
    tipbox("server", "backup-key", "--out", given / "operator.key")
    (given / "secrets.toml").write_text(SECRETS)
    (given / "secrets.toml").chmod(0o600)
    root = new_tree(version)
    with (
        network_namespace(f"tipbox-outer-{os.getpid()}") as namespace,
        outer_stores(namespace) as stores,
        booted(version, root, namespace) as machine,
    ):
        for source, target in (
            (ROOT / "deploy", "/root/release/deploy"),
            (kit.server, "/root/kit"),
            (kit.signers, "/root/signers"),
            (organisation.keys, "/root/keys"),
            (given / "operator.key.pub", "/root/operator.pub"),
            (given / "secrets.toml", "/root/secrets.toml"),
            (stores.authority, "/root/ca.pem"),
        ):
            machine.put(source, target)
        with machine.path("/etc/hosts").open("a") as hosts:
            hosts.writelines(f"{STORES} {name}\n" for name in PORTS)
        first = machine.run(*INSTALL, *FIRST, *OUTER)
        yield Installed(machine, stores, first, machine.run(*INSTALL, *FIRST, *OUTER))


def journal(machine: Machine, unit: str) -> str:
    """What a unit has said."""
    return machine.run("journalctl", "--namespace=tipbox", "--no-pager", "--output=cat", f"--unit={unit}").out


def test_the_server_works_with_its_stores_elsewhere(installed: Installed) -> None:
    """The test tip is in their database, and its parts in their bucket; nothing of it is in the folder."""
    machine = installed.machine
    assert "A test tip is stored." in installed.first.out
    assert "wrote " not in installed.second.out
    assert {machine.property(f"{unit}.service", "ActiveState") for unit in LISTENERS} == {"active"}
    assert installed.stores.rows("SELECT count(*) FROM envelope") == "1"
    assert not machine.path("/var/lib/tipbox/tipbox.db").exists()


def test_all_that_is_found_is_well(installed: Installed) -> None:
    found = json.loads(installed.machine.run("tipbox-server", "check", "--json").out)
    assert [one for one in found if not one["ok"]] == []


@pytest.mark.parametrize("name", UPKEEP)
def test_upkeep_reaches_the_stores(installed: Installed, name: str) -> None:
    unit = f"tipbox-{name}.service"
    installed.machine.run("systemctl", "start", unit, expect=None)
    assert installed.machine.property(unit, "Result") == "success", journal(installed.machine, unit)


def test_commands_by_hand_reach_the_stores(installed: Installed) -> None:
    machine = installed.machine
    machine.run("install", "-d", "-o", "tipbox-courier", "/run/exported")
    machine.run("tipbox-server", "export", "--to", ORGANISATION, "--out", "/run/exported")
    assert ".bundle" in machine.run("ls", "/run/exported").out
    assert "1" in machine.run("tipbox-server", "status").out
    backup = ("--out", "/root/hand.bak", "--to", "/root/operator.pub", "--onion", "/var/lib/tor/tipbox", "--json")
    assert json.loads(machine.run("tipbox-server", "backup", *backup).out)["onion_files"] > 0


def test_the_counts_of_rates_are_kept_there(installed: Installed) -> None:
    """A server that cannot reach them counts in its own memory, and says nothing."""
    answer = installed.machine.run("python3", "-c", ASK).out
    assert answer.startswith("HTTP/1.1 200")
    assert installed.stores.counts() > 0


def test_the_form_without_scripts_answers_behind_an_onion_of_its_own(installed: Installed) -> None:
    machine = installed.machine
    assert machine.run("python3", "-c", ASK_PLAIN).out.startswith("HTTP/1.1 200")
    asked = machine.run("runuser", "-u", "nobody", "--", "python3", "-c", ASK_PLAIN, expect=None)
    assert asked.code != 0, "only tor's user comes in"
    service = machine.path("/etc/tor/torrc.d/tipbox-plain.conf").read_text()
    assert "unix:/run/tipbox/plain.sock" in service
    assert "HiddenServicePoWDefensesEnabled 1" in service
    onions = {
        machine.path(f"/var/lib/tor/tipbox/{name}/hostname").read_text() for name in ("sources", "couriers", "plain")
    }
    assert len(onions) == 3


@pytest.mark.parametrize("unit", [*WITH_STORES, "tipbox-network", "tipbox-alert", *(f"tipbox-{one}" for one in RELAYS)])
def test_exposure_is_bounded(installed: Installed, unit: str) -> None:
    told = installed.machine.run("systemd-analyze", "security", "--no-pager", f"{unit}.service").out
    found = re.search(r"Overall exposure level for .*: ([0-9.]+) ", told)
    assert found is not None
    assert float(found[1]) <= LARGEST_EXPOSURE


def test_the_listeners_are_in_a_network_with_nothing_but_the_relays(installed: Installed) -> None:
    machine = installed.machine
    outside = str(Path(f"/proc/{machine.leader}/ns/net").readlink())
    networks = {}
    for unit in LISTENERS:
        pid = machine.property(f"{unit}.service", "MainPID")
        networks[unit] = machine.run("readlink", f"/proc/{pid}/ns/net").out.strip()
        inside = ("nsenter", f"--net=/proc/{pid}/ns/net")
        links = json.loads(machine.run(*inside, "ip", "-json", "link").out)
        assert [one["ifname"] for one in links] == ["lo"]
        listening = machine.run(*inside, "ss", "--listening", "--tcp", "--numeric", "--no-header").out
        assert sorted(line.split()[3] for line in listening.splitlines()) == [
            "127.0.0.2:5432",
            "127.0.0.3:8333",
            "127.0.0.4:6379",
        ]
    assert outside not in networks.values()
    assert machine.run("ss", "--listening", "--tcp", "--no-header", "--numeric").out == ""


def test_the_firewall_lets_nobody_else_to_the_stores(installed: Installed) -> None:
    def asked(user: str, host: str, port: int) -> str:
        command = ("runuser", "-u", user, "--", "python3", "-c", CONNECT, host, str(port))
        return installed.machine.run(*command).out.strip()

    for host, port in PORTS.items():
        assert asked("tipbox-relay", host, port) == "ok"
        for user in ("tipbox", "tipbox-courier", "nobody", "root"):
            assert asked(user, host, port) != "ok", (user, host)
    assert asked("tipbox-relay", STORES, 8888) != "ok"  # what listens there too, and is no store of ours


def test_the_way_to_the_stores_comes_back_with_the_listeners(installed: Installed) -> None:
    """As an upgrade stops all units of the server, and starts the listeners."""
    machine = installed.machine
    units = [path.name for path in machine.path("/etc/systemd/system").glob("tipbox*.service")]
    machine.run("systemctl", "stop", *units)
    assert machine.property("tipbox-database.socket", "ActiveState") == "inactive"
    machine.run("systemctl", "start", *LISTENERS)
    assert machine.run("python3", "-c", ASK).out.startswith("HTTP/1.1 200")
    machine.run("tipbox-server", "status")


def test_passwords_are_roots_and_in_no_command_line(installed: Installed) -> None:
    machine = installed.machine
    assert machine.run("stat", "-c", "%U %a", "/etc/tipbox/stores/stores.toml").out == "root 600\n"
    for path in machine.path("/etc/systemd/system").rglob("tipbox*"):
        assert not path.is_file() or "password" not in path.read_text()
    pid = machine.property("tipbox.service", "MainPID")
    assert "password" not in machine.run("cat", f"/proc/{pid}/environ", f"/proc/{pid}/cmdline").out


def test_a_store_with_another_name_is_not_taken(installed: Installed) -> None:
    """The relay could be led elsewhere; the certificate's name is what counts."""
    machine = installed.machine
    relays = machine.path("/etc/tipbox/stores/relays.env")
    hosts = machine.path("/etc/tipbox/stores/hosts")
    kept = hosts.read_text()
    hosts.write_text(kept.replace("127.0.0.2 ", "127.0.0.2 other.stores.example "))
    settings = machine.path("/etc/tipbox/stores/stores.toml")
    text = settings.read_text()
    settings.write_text(text.replace(f"@{DATABASE}", "@other.stores.example"))
    try:
        refused = machine.run("tipbox-server", "status", expect=None)
    finally:
        hosts.write_text(kept)
        settings.write_text(text)
    assert refused.code != 0
    assert relays.exists()
    machine.run("tipbox-server", "status")


def told(machine: Machine) -> str:
    """What waits for a person."""
    return machine.run("cat", FINDINGS, expect=None).out


def test_a_person_is_told_what_failed_until_it_is_mended(installed: Installed) -> None:
    machine = installed.machine
    machine.run("systemctl", "stop", "tor@default.service")
    machine.run("systemctl", "start", "tipbox-onion.service", expect=1)
    until(lambda: "  tipbox-onion.service\n" in told(machine), TOLD_SECONDS)
    machine.run("install", "-d", "-o", "tipbox-courier", "/run/exported")
    machine.run("tipbox-server", "export", "--to", ORGANISATION, "--out", "/run/exported")
    carried = machine.run("cat", "/run/exported/findings.txt").out
    machine.run("systemctl", "start", "tor@default.service")

    assert "BAD   onion: tor does not answer on this machine" in journal(machine, "tipbox-onion.service")
    assert re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}: ", carried)
    assert carried == told(machine)
    assert machine.run("stat", "-c", "%U %a", str(Path(FINDINGS).parent)).out == "tipbox-alert 700\n"

    machine.run("systemctl", "reset-failed", "tipbox-onion.service")
    machine.run("systemctl", "start", "tipbox-check.service")
    until(lambda: machine.run("test", "-e", FINDINGS, expect=None).code == 1, TOLD_SECONDS)


def test_a_tor_without_a_network_is_bad_and_a_person_is_told(installed: Installed) -> None:
    """After all the time for which the check tries: tor needs minutes after a start."""
    machine = installed.machine
    machine.run("systemctl", "start", "tipbox-onion.service", expect=1, timeout=1200)
    assert "BAD   onion: the onion service cannot be reached through Tor" in journal(machine, "tipbox-onion.service")
    until(lambda: "  tipbox-onion.service\n" in told(machine), TOLD_SECONDS)
    machine.run("systemctl", "reset-failed", "tipbox-onion.service")
