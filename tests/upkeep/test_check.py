"""What the checks of the machine say, with programs in the place of tor and systemd-analyze that answer otherwise."""

from __future__ import annotations

import errno
import gc
import io
import os
import re
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from support.loopback import free_port
from support.sealed import envelope, keys_folder, three
from support.server import Here, start
from support.socks_proxy import running_socks
from support.world import tipbox
from tipbox.formats.base import days
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.open_server import OpenServer
from tipbox.server.upkeep import machine
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.check_headers import headers
from tipbox.server.upkeep.finding import Finding
from tipbox.server.upkeep.machine import STANDARD_INPUT, check_machine
from tipbox.server.upkeep.onion import check_onion
from tipbox.server.upkeep.settle import settle_server

COURIER = f"descriptor:x25519:{'A' * 52}"
ONION = f"http://{'a' * 56}.onion"
HARDENED = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "tipbox.service"


def found(name: str, couriers: Path | None = None) -> Finding:
    """One finding of the machine."""
    return next(finding for finding in check_machine(couriers) if finding.check == name)


@pytest.fixture(name="units")
def _units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of units, in place of systemd's."""
    folder = tmp_path / "units"
    folder.mkdir()
    monkeypatch.setattr(machine, "_UNITS", folder)
    monkeypatch.setattr(machine, "_TOR_UNIT", tmp_path / "none")
    return folder


@pytest.fixture(name="programs")
def _programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs before all others."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin")
    return folder


def program(path: Path, script: str) -> None:
    """Write a program."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_machine_that_is_well(units: Path) -> None:
    (units / "tipbox.service").write_bytes(HARDENED.read_bytes())

    findings = check_machine()

    assert [finding.check for finding in findings] == ["tor", "units"]
    assert all(finding.ok and finding.message and not finding.remedy for finding in findings)


def test_a_tor_without_proof_of_work_is_not_well(programs: Path) -> None:
    program(programs / "tor", "printf 'relay: yes\\npow: no\\n'")

    finding = found("tor")

    assert (finding.ok, "no proof of work" in finding.message) == (False, True)
    assert "apt-get install tor" in finding.remedy


def test_an_exposed_unit_is_named(units: Path) -> None:
    (units / "tipbox.service").write_text("[Service]\nExecStart=/bin/true\nUser=nobody\n")

    finding = found("units")

    assert (finding.ok, "tipbox.service" in finding.message) == (False, True)


@pytest.mark.parametrize(("name", "check_name"), [("tor", "tor"), ("systemd-analyze", "units")])
@pytest.mark.parametrize("script", ["exit 0", "exit 1", "kill -SYS $$"])
def test_what_cannot_be_asked_is_not_well(units: Path, programs: Path, name: str, check_name: str, script: str) -> None:
    """As within walls that do not let another program run whole."""
    (units / "tipbox.service").write_bytes(HARDENED.read_bytes())
    program(programs / name, script)

    finding = found(check_name)

    assert (finding.ok, "does not say" in finding.message) == (False, True)
    assert finding.remedy


def test_a_program_that_is_not_there_is_missed_only_where_units_are(
    units: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert all(finding.ok for finding in check_machine())
    assert programs.is_dir()

    (units / "tipbox.service").write_bytes(HARDENED.read_bytes())

    assert not any(finding.ok for finding in check_machine())


@pytest.mark.parametrize(
    ("lines", "ok"), [([], False), (["descriptor:x25519:short"], False), (["", COURIER], True), ([COURIER], True)]
)
def test_a_couriers_listener_without_a_key_is_open_to_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], *, ok: bool
) -> None:
    for number, line in enumerate(lines):
        (tmp_path / f"{number}.auth").write_text(line)
    (tmp_path / "README").write_text(COURIER)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))

    for source in (tmp_path, STANDARD_INPUT):
        finding = found("couriers", source)
        assert (finding.ok, bool(finding.remedy)) == (ok, not ok)
    assert not found("couriers", tmp_path / "none").ok


def test_an_onion_service_that_answers_is_well(tmp_path: Path) -> None:
    """Asked through a SOCKS port, and by its name only."""
    server = start(tmp_path / "home", keys_folder(tmp_path / "keys", three()))
    try:
        with running_socks(server.address[1]) as socks:
            assert check_onion(ONION, socks.address).ok
            assert socks.names == [ONION.removeprefix("http://").encode()]
    finally:
        server.kill()


@pytest.fixture
def _collected() -> Iterator[None]:
    """httpcore closes no socket through which a proxy reached nobody: it goes while the test's filter still holds."""
    yield
    gc.collect()


@pytest.mark.usefixtures("_collected")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_line_that_nobody_reaches_is_told() -> None:
    """Without a network tor finds no descriptor; without tor there is nobody to ask; and another may answer there."""
    with running_socks(None) as socks:
        nowhere = check_onion(ONION, socks.address, seconds=2)
    assert not nowhere.ok
    assert "cannot be reached through Tor" in nowhere.message
    without = check_onion(ONION, f"127.0.0.1:{free_port()}", seconds=2)
    assert not without.ok
    assert "tor does not answer on this machine" in without.message
    assert "tor@default" in without.remedy
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other, running_socks(other.server_port) as socks:
        Thread(target=other.handle_request).start()
        assert not check_onion(ONION, socks.address, seconds=2).ok


def test_closed_days_that_were_not_settled_for_two_nights_are_a_finding(tmp_path: Path) -> None:
    organisations, today = three(), days.today()
    server = Here(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))

    def settled(after: int) -> Finding:
        there = check_server(server.home, today=today + timedelta(days=after))
        return next(finding for finding in there if finding.check == "settled")

    assert settled(9).ok  # nothing has come
    server.upload(envelope(organisations))
    assert [settled(after).ok for after in (0, 1, 2, 3)] == [True, True, True, False]
    assert "never settled" in settled(3).message
    settle_server(server.home, today=today + timedelta(days=3))
    assert [settled(after).ok for after in (3, 5, 6)] == [True, True, False]
    assert "settle" in settled(6).remedy
    server.close()


def test_the_command_checks_a_part_or_all(tmp_path: Path) -> None:
    server = Here(tmp_path / "home", keys_folder(tmp_path / "keys", three()))
    server.close()
    home = ("--home", server.home)

    def names(*arguments: str | Path) -> list[str]:
        return [finding["check"] for finding in tipbox("server", "check", *arguments, "--json").json]

    assert names(*home) == [*names(*home, "--only", "server"), *names("--only", "machine")]
    assert names("--only", "machine") == ["tor", "units"]
    onion = ("--only", "onion", "--onion", "http://a.onion", "--socks", f"127.0.0.1:{free_port()}")
    told = tipbox("server", "check", *onion, "--json", expect=8)
    assert [finding["check"] for finding in told.json] == ["onion"]
    for wrong in ((), (*home, "--only", "machine"), (*home, *onion), onion[:4], (*home, *onion[2:])):
        tipbox("server", "check", *wrong, expect=2)


def test_the_page_of_the_first_hour_says_what_each_finding_means(tmp_path: Path) -> None:
    """At three in the morning nobody reads code."""
    page = (HARDENED.parents[2] / "docs" / "first-hour.md").read_text(encoding="utf-8")
    rows = page.split("## What each finding means\n")[1].split("\n## ")[0]
    explained = re.findall(r"^\| `([a-z]+)` \|", rows, re.MULTILINE)
    server = Here(tmp_path / "home", keys_folder(tmp_path / "keys", three()))
    findings = check_server(server.home, more=[headers]) + check_machine(tmp_path)
    server.close()
    names = {*(finding.check for finding in findings), "onion", "server"}

    assert sorted(explained) == sorted(names)


def test_a_check_that_may_not_look_names_what_it_could_not_open(tmp_path: Path) -> None:
    """There is no log of it."""

    def spool(_server: OpenServer, _today: date) -> Finding:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/home/spool")

    prepare_server(tmp_path / "home", keys_folder(tmp_path / "keys", three()))
    (finding,) = [finding for finding in check_server(tmp_path / "home", more=[spool]) if not finding.ok]
    assert finding.message == "the check failed: /home/spool: Permission denied"
    assert "owner or mode" in finding.remedy
