"""The process: how it starts and stops, what it logs, what stays in its memory, who keeps a connection."""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.client import Client, bearer
from support.loopback import takes_calls, until
from support.sealed import PART, Organisation, envelope
from support.server import Server, running, start
from support.services import scratch
from tipbox.errors import IdentityChanged, InputRefused, Malformed, NotFound, TipboxError, Usage
from tipbox.formats.base import days
from tipbox.formats.base.primitives import new_seed, xwing_public
from tipbox.server.backup.create import make_backup
from tipbox.server.backup.operator_key import PublicKey
from tipbox.server.bundles.export import write_volumes
from tipbox.server.home import Home, load_server_keys
from tipbox.server.log import where
from tipbox.server.process.connections import Connection, Connections
from tipbox.server.process.run import _check_free, prepare_server, run_courier, run_server

pytestmark = pytest.mark.reads_date

CANARY = "canary-7f3a9"


# --- starting ---------------------------------------------------------------------------------------------------------


def test_it_makes_its_folder_for_itself_alone(keys: Path, tmp_path: Path) -> None:
    home = tmp_path / "some" / "home"
    prepare_server(home, keys)

    for path in [home, *home.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE((home / "server.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in (home / "keys").iterdir()) == ["fidh.json", "ili.json", "kibhr.json"]


def test_a_folder_that_was_made_for_a_group_is_shared_but_for_the_secret_keys(
    organisations: list[Organisation], keys: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o2770)
    with running(home, keys) as server, Client(server) as client:
        assert client.upload(envelope(organisations, 2 * PART)).status == 200
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}

    assert modes.pop("server.key") == 0o600
    assert {name: oct(mode) for name, mode in modes.items() if mode not in (0o660, 0o2770)} == {}
    assert {"tipbox.db", "tipbox.db-wal", "tipbox.db.turn", "fidh.json", "blobs"} <= set(modes)


def test_couriers_can_have_a_process_of_their_own(
    organisations: list[Organisation], keys: Path, tmp_path: Path
) -> None:
    home, path = tmp_path / "home", str(tmp_path / "courier.sock")
    command = ("tipbox", "server", "courier", "--home", str(home), "--keys", str(keys), "--bind", f"unix:{path}")
    with running(home, keys) as server, Client(server) as client:
        assert client.upload(envelope(organisations)).status in {200, 201}
        process = subprocess.Popen((sys.executable, "-m", *command), stdin=subprocess.DEVNULL)
        try:
            until(lambda: takes_calls(Path(path)))
            with Client(server, address=path) as courier:
                listed = courier.request("GET", "/courier/bundles/fidh")
                page = courier.request("GET", "/")
        finally:
            process.terminate()
            assert process.wait(20) == 0

    assert [volume["name"] for volume in listed.json["volumes"]] == ["fidh-1-1.bundle"]
    assert page.status == 404


def test_its_keys_are_made_once(keys: Path, tmp_path: Path) -> None:
    prepare_server(tmp_path / "home", keys)
    first = (tmp_path / "home" / "server.key").read_bytes()
    prepare_server(tmp_path / "home", keys)

    assert (tmp_path / "home" / "server.key").read_bytes() == first
    assert len(load_server_keys(Home(tmp_path / "home")).public) == 1216


def test_damaged_keys_are_named(keys: Path, tmp_path: Path) -> None:
    prepare_server(tmp_path / "home", keys)
    (tmp_path / "home" / "server.key").write_bytes(b"{}")

    with pytest.raises(InputRefused, match=r"server\.key: it is damaged"):
        prepare_server(tmp_path / "home", keys)


def test_newer_manifests_are_taken_and_older_ones_are_not(
    organisations: list[Organisation], keys: Path, tmp_path: Path
) -> None:
    home, one = tmp_path / "home", organisations[0]
    held = home / "keys" / f"{one.name}.json"
    prepare_server(home, keys)
    for serial, taken in (((1, 3), True), ((1, 2), False), ((2, 1), True), ((1, 9), False)):
        manifest = one.manifest(serial=serial).encode()
        (keys / f"{one.name}.json").write_bytes(manifest)
        prepare_server(home, keys)

        assert (held.read_bytes() == manifest) is taken, serial


def test_a_manifest_whose_life_has_not_begun_replaces_none(
    organisations: list[Organisation], keys: Path, tmp_path: Path
) -> None:
    home, one = tmp_path / "home", organisations[0]
    prepare_server(home, keys)
    before = (home / "keys" / f"{one.name}.json").read_bytes()
    future = one.manifest(serial=(1, 2), start=days.today() + timedelta(days=9))
    (keys / f"{one.name}.json").write_bytes(future.encode())
    prepare_server(home, keys)

    assert (home / "keys" / f"{one.name}.json").read_bytes() == before


@pytest.mark.parametrize("kept", [True, False])
def test_another_identity_key_is_refused_for_good(
    organisations: list[Organisation], keys: Path, tmp_path: Path, *, kept: bool
) -> None:
    """Also when the manifest that was there is gone: the key is pinned in the database."""
    home, one = tmp_path / "home", organisations[0]
    prepare_server(home, keys)
    (keys / f"{one.name}.json").write_bytes(Organisation(one.name).manifest(serial=(9, 9)).encode())
    if not kept:
        (home / "keys" / f"{one.name}.json").unlink()

    with pytest.raises(IdentityChanged, match=f"taking the key manifest of {one.name}") as raised:
        prepare_server(home, keys)
    assert "\n" not in str(raised.value)


def test_an_identity_key_has_one_name(organisations: list[Organisation], keys: Path, tmp_path: Path) -> None:
    prepare_server(tmp_path / "home", keys)
    renamed = Organisation("other", identity=organisations[0].identity)
    (keys / "other.json").write_bytes(renamed.manifest().encode())

    with pytest.raises(IdentityChanged, match="other"):
        prepare_server(tmp_path / "home", keys)


def test_a_damaged_manifest_is_named(keys: Path, tmp_path: Path) -> None:
    (keys / "ili.json").write_bytes(b"{}")

    with pytest.raises(Malformed, match=r"ili\.json"):
        prepare_server(tmp_path / "home", keys)


@pytest.mark.parametrize(
    ("folder", "error"), [("keys-not-there", TipboxError), ("empty", TipboxError)], ids=["missing", "empty"]
)
def test_without_manifests_it_does_not_start(tmp_path: Path, folder: str, error: type[TipboxError]) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(error, match=folder):
        prepare_server(tmp_path / "home", tmp_path / folder)


@pytest.mark.parametrize(
    "bind", ["127.0.0.1", "127.0.0.1:x", ":80", "127.0.0.1:99999", "unix:/nowhere/at/all/socket", "8000", ""]
)
def test_a_bind_that_cannot_be(keys: Path, tmp_path: Path, bind: str) -> None:
    with pytest.raises(Usage):
        run_server(tmp_path / "home", keys, bind)
    assert not (tmp_path / "home").exists()


def test_couriers_have_a_unix_socket_only(keys: Path, tmp_path: Path) -> None:
    with pytest.raises(Usage, match="courier"):
        run_server(tmp_path / "home", keys, "127.0.0.1:1", "127.0.0.1:2")


def test_a_database_of_a_newer_version_is_refused(keys: Path, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    prepare_server(tmp_path / "home", keys)
    with closing(sqlite3.connect(tmp_path / "home" / "tipbox.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(InputRefused, match="newer version"):
        prepare_server(tmp_path / "home", keys)


def test_the_schema_is_that_of_the_models(keys: Path, tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from tipbox.server.config import Config
    from tipbox.server.storage.database import make_engine
    from tipbox.server.storage.models import Base

    prepare_server(tmp_path / "home", keys)
    engine = make_engine(Home(tmp_path / "home"), Config())
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        tables = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
    engine.dispose()
    without = {name for name, sql in tables if "WITHOUT ROWID" in sql}
    assert without == {name for name, _ in tables} - {"alembic_version"}


def test_a_socket_that_somebody_listens_on_is_not_taken(keys: Path, tmp_path: Path) -> None:
    """Else who types the unit's command by hand shuts the line: nobody reaches the old server any more."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(1)
        with pytest.raises(Usage, match="already; stop it"):
            run_server(tmp_path / "home", keys, f"unix:{path}")
        with pytest.raises(Usage, match="already; stop it"):
            run_courier(tmp_path / "home", keys, f"unix:{path}")
    assert not (tmp_path / "home").exists()
    _check_free(f"unix:{path}")
    assert path.exists(), "what a server has left that has ended is no obstacle"
    with pytest.raises(Usage, match="cannot listen on"):
        _check_free(f"unix:{tmp_path}/{'x' * 200}")


def test_where_the_database_or_the_keys_are_gone_no_new_server_begins(keys: Path, tmp_path: Path) -> None:
    """An empty one would look well, and what was in the old one would not be missed."""
    home = tmp_path / "home"
    prepare_server(home, keys)
    (home / "tipbox.db").rename(tmp_path / "tipbox.db")
    with pytest.raises(InputRefused, match="the database is gone, and the server's keys are here"):
        prepare_server(home, keys)
    assert not (home / "tipbox.db").exists()
    (tmp_path / "tipbox.db").rename(home / "tipbox.db")
    (home / "server.key").rename(tmp_path / "server.key")
    with pytest.raises(InputRefused, match=r"copy server\.key"):
        prepare_server(home, keys)
    with pytest.raises(InputRefused, match="begin no new server in this folder"):
        Home(home).must_exist()
    assert not (home / "server.key").exists()


def test_what_is_carried_away_is_not_written_into_the_server_s_own_folder(
    organisations: list[Organisation], keys: Path, tmp_path: Path
) -> None:
    home, link = tmp_path / "home", tmp_path / "link"
    prepare_server(home, keys)
    link.symlink_to(home)
    before = sorted(home.rglob("*"))
    for out in (home, home / "blobs", link / "spool" / "out"):
        with pytest.raises(Usage, match="in the server's own folder"):
            write_volumes(home, organisations[0].name, out)
    for out in (home / "keys", link / "spool"):
        with pytest.raises(Usage, match="in the server's own folder"):
            make_backup(home, out / "x.bak", PublicKey(xwing_public(new_seed())))
    assert sorted(home.rglob("*")) == before


# --- running ----------------------------------------------------------------------------------------------------------


@pytest.fixture(name="server")
def _server(keys: Path, tmp_path: Path) -> Iterator[Server]:
    server = start(tmp_path / "home", keys, unix=True)
    yield server
    server.kill()


def test_its_sockets_and_files_are_its_own(server: Server) -> None:
    mode = stat.S_IMODE(Path(server.address).stat().st_mode)
    assert mode == 0o660  # the group is Tor's way in

    opened = {Path(file.path) for worker in server.workers() for file in worker.open_files()}
    outside = {path for path in opened if not path.is_relative_to(server.home) and path != server.log}
    assert {path for path in outside if "wgunicorn" not in path.name} == set()
    assert [path.name for path in server.home.parent.iterdir() if "ctl" in path.name] == []


def test_it_leaves_no_core(server: Server) -> None:
    for worker in server.workers():
        assert worker.rlimit(resource.RLIMIT_CORE) == (0, 0)


def test_sigterm_ends_it_soon_and_finishes_what_is_being_answered(
    server: Server, organisations: list[Organisation]
) -> None:
    sent = envelope(organisations, 200_000)
    with server.client() as busy, server.client() as idle, server.client() as kept:
        kept.request("GET", "/")
        busy.open(sent)
        run_of_parts = b"".join(sent.parts)
        busy.send("PUT", "/api/envelope/parts/0", run_of_parts[:PART], bearer(sent.token), len(run_of_parts))
        until(lambda: any((server.home / "blobs").iterdir()))
        began = time.monotonic()
        server.process.terminate()
        assert idle.ended()
        assert kept.ended()
        busy.line.sendall(run_of_parts[PART:])
        answer = busy.receive()

        assert answer.json == {"state": "open", "missing": []}
        assert answer.closes
    assert server.process.wait(20) == 0
    assert time.monotonic() - began < 15
    assert not Path(server.address).exists()


def test_a_worker_that_dies_is_replaced(server: Server) -> None:
    (worker,) = server.workers()
    worker.kill()
    until(lambda: [one.pid for one in server.workers()] not in ([], [worker.pid]))

    with server.client() as client:
        assert client.request("GET", "/en/").status == 200


def test_memory_is_small(server: Server, organisations: list[Organisation]) -> None:
    with server.client() as client:
        for size in (0, 20_000_000, 1000):
            client.upload(envelope(organisations, size))

    assert [worker.memory_info().rss < 150e6 for worker in server.workers()] == [True]


# --- what it says and keeps -------------------------------------------------------------------------------------------


def provoke(server: Server, organisations: list[Organisation]) -> None:
    """Every kind of trouble, with a canary in all that a request has."""
    heads = [
        f"GET /{CANARY}?{CANARY} HTTP/1.1\r\nHost: {CANARY}\r\nX-Canary: {CANARY}\r\nCookie: {CANARY}\r\n\r\n",
        f"{CANARY.upper()} / HTTP/1.1\r\n\r\n",
        f"GET /{CANARY * 500} HTTP/1.1\r\n\r\n",
        f"GET / HTTP/1.1\r\n{CANARY} {CANARY}\r\n\r\n",
        f"GET / HTTP/1.1\r\nExpect: {CANARY}\r\n\r\n",
        f"POST / HTTP/1.1\r\nTransfer-Encoding: {CANARY}\r\n\r\n",
        f"POST /api/envelope/finish HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{CANARY}\r\n",
        f"GET /{CANARY}",
    ]
    for head in heads:
        with server.client() as client:
            client.line.sendall(head.encode())
            client.line.shutdown(1)
            while client.line.recv(65536):
                pass
    for line in (f"PROXY TCP6 {CANARY} ::1 1 2\r\n", f"PROXY {CANARY}\r\n"):
        with Client(server) as client:
            client.line.sendall(line.encode() + b"GET / HTTP/1.1\r\n\r\n")
            client.line.shutdown(1)
            while client.line.recv(65536):
                pass
    sent = envelope(organisations, 200_000)
    with server.client() as client:
        client.request("PUT", "/api/envelope", CANARY.encode() * 40, bearer(sent.token))
    with server.client() as client:
        client.open(sent)
        client.send("PUT", "/api/envelope/parts/0", CANARY.encode(), {**bearer(sent.token), "X-Canary": CANARY}, PART)
    with server.client() as client:
        client.put(sent, 0, 4)
        for blob in (server.home / "blobs").iterdir():
            blob.unlink()
        assert client.finish(sent).error == (409, "incomplete")
        (server.home / "blobs").rename(server.home / CANARY)  # a fault of the server's own
        answer = client.put(sent, 0, 1)
        (server.home / CANARY).rename(server.home / "blobs")
        assert answer.error == (503, "unavailable")
        assert CANARY.encode() not in answer.body


def test_no_line_of_the_log_holds_anything_of_a_request(server: Server, organisations: list[Organisation]) -> None:
    provoke(server, organisations)
    server.stop()

    log = server.log.read_text()
    assert CANARY not in log.lower()
    assert "fc00" not in log
    assert "Traceback" not in log
    assert re.search(r"ERROR: a request failed: FileNotFoundError at server/storage/blobs\.py:\d+", log)
    known = re.compile(
        r"tipbox server \[\d+\] (INFO: (Starting gunicorn|Listening at|Using worker|Handling signal|Shutting down)"
        r"|ERROR: a request failed: \w+ at )"
    )
    assert [line for line in log.splitlines() if not known.match(line)] == []


def memory(pid: int) -> Iterator[bytes]:
    """The readable memory of a process, region by region."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
            span, rights, *rest = line.split()
            if rights.startswith("r") and not (rest and rest[-1] in {"[vvar]", "[vsyscall]", "[vvar_vclock]"}):
                first, last = (int(end, 16) for end in span.split("-"))
                file.seek(first)
                try:
                    yield file.read(last - first)
                except OSError:
                    continue


def found(server: Server, word: bytes) -> bool:
    return any(word in region for worker in server.workers() for region in memory(worker.pid))


def test_what_was_refused_does_not_stay_in_memory(server: Server, organisations: list[Organisation]) -> None:
    secret, control = b"my-name-is-" + os.urandom(8).hex().encode(), os.urandom(16).hex()
    token = envelope(organisations).token
    for _ in range(5):
        with server.client() as client:
            answer = client.request("PUT", "/api/envelope", (secret + b"\n") * 400, bearer(token))
            assert answer.error == (400, "not-tipbox")
            assert client.ended()
    with server.client() as client:  # a head that stays incomplete lies in memory for now
        client.line.sendall(f"GET / HTTP/1.1\r\nX-Control: {control}\r\n".encode())
        until(lambda: found(server, control.encode()))

        assert not found(server, secret)


# --- connections ------------------------------------------------------------------------------------------------------


class Line:
    """A connection's socket as the worker's table uses it."""

    def __init__(self) -> None:
        self.down = False

    def shutdown(self, _how: int) -> None:
        self.down = True


def joined(table: Connections, circuit: str) -> Connection:
    connection = Connection(Line())
    table.add(connection)
    table.name(connection, circuit)
    return connection


def test_the_circuit_that_holds_most_loses_its_idle_ones_first() -> None:
    table = Connections(4)
    modest = joined(table, "a")
    greedy = [joined(table, "b") for _ in range(3)]
    greedy[0].idle = False

    joined(table, "c")

    assert [one.client.down for one in (modest, *greedy)] == [False, False, True, False]
    assert len(table) == 4


def test_a_greedy_circuit_only_hurts_itself() -> None:
    table = Connections(4)
    modest = [joined(table, circuit) for circuit in "ab"]

    for _ in range(20):
        joined(table, "greedy")

    assert [one.client.down for one in modest] == [False, False]
    assert len(table) == 4


def test_connections_that_end_are_forgotten() -> None:
    table = Connections(2)
    for _ in range(5):
        one = joined(table, "a")
        table.remove(one)
        table.remove(one)
        table.name(one, "late")

    assert len(table) == 0
    assert not table._held


def test_more_connections_than_the_server_holds(keys: Path, tmp_path: Path) -> None:
    with running(tmp_path / "home", keys, unix=True, settings={"server_connections": "64"}) as server:
        greedy = [server.client("fc00::1") for _ in range(150)]
        with server.client("fc00::2") as client:
            assert [client.request("GET", "/en/").status for _ in range(3)] == [200] * 3
        for one in greedy:
            one.close()


# --- pieces -----------------------------------------------------------------------------------------------------------


def test_where_an_error_came_from_says_nothing_of_what_was_in_it() -> None:
    with pytest.raises(NotFound) as raised:
        Home(Path("/nowhere") / CANARY).must_exist()

    assert re.fullmatch(r"NotFound at server/home\.py:\d+", where(raised.value))
    assert where(ValueError(CANARY)) == "ValueError"


def test_group_commit_runs_what_waits_together() -> None:
    code = """
import gevent
from tipbox.server.storage.executors import WorkerThreads
groups = []
def run(items):
    groups.append(list(items))
    return [(item * 2, None) for item in items]
call = WorkerThreads().grouped(run)
jobs = [gevent.spawn(call, number) for number in range(50)]
gevent.joinall(jobs)
assert [job.value for job in jobs] == [(number * 2, None) for number in range(50)]
assert sorted(sum(groups, [])) == list(range(50)) and len(groups) < 10, groups
"""
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["blobs", "spool"])
def test_a_folder_that_went_to_another_user_is_named_before_anything_is_served(name: str) -> None:
    """Else the master ends with a traceback, or sources are told that the server is ill, one by one."""
    with scratch("nobody") as folder:
        home = Home(folder)
        home.make()
        for path in folder.iterdir():
            shutil.chown(path, "root" if path.name == name else "nobody")
        os.seteuid(folder.stat().st_uid)
        try:
            with pytest.raises(InputRefused, match=rf"{name}: this user may not write there; give it back .* chown"):
                home.make()
        finally:
            os.seteuid(0)
