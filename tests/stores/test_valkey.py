"""A Valkey that goes and comes back: sources notice nothing, workers count by themselves, and the check says so."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from valkey import Valkey

from support.loopback import until
from support.sealed import Organisation, keys_folder
from support.server import Here, Server, running
from support.services import scratch, valkey_in
from tipbox.server.upkeep.check import check_server

PER_MINUTE = 4
SETTINGS = {"server_workers": "1", "limits_pages": str(PER_MINUTE)}


def rates(home: Path) -> str:
    """What the check says of them: nothing when all is well."""
    findings = [finding for finding in check_server(home) if not finding.ok]
    assert [finding.check for finding in findings] in ([], ["rates"])
    return "".join(f"{finding.message}; {finding.remedy}" for finding in findings)


def pages(server: Server, circuit: str) -> list[int]:
    """How ``PER_MINUTE`` + 2 requests of one circuit are answered."""
    with server.client(f"fc00:dead:beef:4dad::{circuit}") as client:
        return [client.request("GET", "/en/").status for _ in range(PER_MINUTE + 2)]


SLOWED = [200] * PER_MINUTE + [429] * 2


def test_one_that_stops_and_starts_again_shuts_nobody_out_and_is_told(
    organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keys_folder(tmp_path / "keys", organisations)
    with scratch() as folder:
        valkey = valkey_in(folder)
        url = valkey.__enter__()
        monkeypatch.setenv("TIPBOX_LIMITS_URL", url)
        with running(tmp_path / "home", keys, unix=True, settings=SETTINGS) as server:
            assert pages(server, "a") == SLOWED
            assert rates(server.home) == ""
            valkey.__exit__(None, None, None)
            assert pages(server, "b") == SLOWED, "by counts of its own"
            assert "Valkey does not answer" in rates(server.home)
            assert "nobody is shut out" in rates(server.home)
            with valkey_in(folder):
                counts: Any = Valkey(unix_socket_path=str(folder / "valkey.sock"))
                # It tries again after one, two, four … seconds. A circuit that went on after refusals would be closed.
                fresh = count(0xC0)
                until(lambda: bool(pages(server, f"{next(fresh):x}")) and int(counts.dbsize()) > 0, 60)
                before = int(counts.dbsize())
                assert pages(server, "d") == SLOWED
                assert int(counts.dbsize()) > before, "counted there"
                assert rates(server.home) == ""
            assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), "answers, and counts nothing"),
        (("REPLICAOF", "127.0.0.1", "1"), "takes no writes: it is a replica"),
        (("CONFIG", "SET", "requirepass", "another"), "does not let this server in"),
    ],
)
def test_one_that_answers_and_takes_no_counts_is_as_good_as_none(
    how: tuple[str, ...], said: str, organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keys_folder(tmp_path / "keys", organisations)
    with scratch() as folder, valkey_in(folder) as url:
        monkeypatch.setenv("TIPBOX_LIMITS_URL", url)
        with running(tmp_path / "home", keys, unix=True, settings=SETTINGS) as server:
            assert pages(server, "a") == SLOWED
            client: Any = Valkey(unix_socket_path=str(folder / "valkey.sock"))
            client.execute_command(*how)
            assert said in rates(server.home)
            assert pages(server, "b") == SLOWED, "by counts of its own"
            assert "Traceback" not in server.log.read_text()


def test_counts_in_memory_are_no_finding(organisations: list[Organisation], tmp_path: Path) -> None:
    server = Here(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    assert rates(server.home) == ""
    server.close()
