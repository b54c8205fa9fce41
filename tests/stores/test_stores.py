"""The same promises on every store: SQLite and PostgreSQL, a local folder and S3, rates in memory and in Valkey."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
from sqlalchemy import func, select

from support.client import bearer
from support.loopback import free_port, until
from support.sealed import PART, Box, Organisation, envelope, inward, keys_folder
from support.server import Here, Server, running, start
from support.services import S3_SECRET, new_database, new_prefix, s3_config
from tipbox.errors import InputRefused, NetworkFailed, Usage
from tipbox.formats.base import days
from tipbox.formats.base.primitives import new_seed, xwing_public
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.server.backup.create import make_backup
from tipbox.server.backup.operator_key import PublicKey
from tipbox.server.backup.restore import restore_backup
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.blobs import S3Blobs
from tipbox.server.storage.models import Draft, Envelope
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.settle import settle_server
from tipbox.server.web.courier_api import LEAST_RANGE

STORED = {"state": "stored"}
TURNS = 6
POOLED = re.compile(r"/tipbox\.db(-wal)?\Z")
MOST_POOLED = 2 * (5 + 1 + 5)
"""Of SQLite, each connection has its file and its log open: five of SQLAlchemy's pool, the one that keeps the log in
its place, and five of the pool before, while those are in use (``Store.forget``)."""

S3 = pytest.mark.real_clock("S3 refuses what was signed at another time, and a server in Go cannot be told one")
POSTGRESQL = pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another")
STORES = [
    "sqlite-local-memory",
    pytest.param("postgresql-local-valkey", marks=POSTGRESQL),
    *(pytest.param(name, marks=S3) for name in ("sqlite-s3-memory", "postgresql-s3-valkey")),
]


@pytest.fixture(name="settings", scope="module", params=STORES)
def _settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Two workers on fresh stores of the kinds that the parameter names."""
    database, blobs, rates = request.param.split("-")
    settings = {"server_workers": "2"}
    if database == "postgresql":
        settings["database_url"] = new_database(request.getfixturevalue("postgresql"))
    if blobs == "s3":
        config = s3_config(request.getfixturevalue("s3"), new_prefix())
        settings |= {
            "blobs_url": config.url,
            "blobs_endpoint": config.endpoint,
            "blobs_access_key": "tipbox",
            "blobs_secret_key": S3_SECRET,
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
        keys = keys_folder(folder / "keys", organisations)
        server = start(folder / "home", keys, unix=True, courier=True, settings=settings)
        yield server
        server.kill()
        assert "fault" not in server.log.read_text()


@pytest.fixture(name="own_stores")
def _own_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a server beside the module's: on SQLite, a folder and memory, unless the test says otherwise."""
    for name in [name for name in os.environ if name.startswith("TIPBOX_")]:
        monkeypatch.delenv(name)


def fetch(server: Server, organisation: Organisation, out: Path) -> list[bytes]:
    return fetch_here(server.home, organisation, out)


def fetch_here(home: Path, organisation: Organisation, out: Path) -> list[bytes]:
    found = []
    for path in write_volumes(home, organisation.name, out):
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
    server.__dict__.update(start(server.home, server.keys, unix=True, courier=True, settings=settings).__dict__)

    with server.client() as client:
        assert client.finish(stored).json == STORED
        assert client.state(half).json["missing"] == [[0, 1], [3, len(half.parts) - 3]]
        client.upload(half)
    assert {stored.whole, half.whole} <= set(fetch(server, organisations[0], tmp_path))


def carried(server: Server, organisation: Organisation, out: Path) -> tuple[Bundle, list[bytes]]:
    """The last volume that couriers are given, and all Envelopes; each large volume is fetched in two ranges."""
    listing, found = f"/courier/bundles/{organisation.name}", []
    with server.couriers() as couriers:
        volumes = couriers.request("GET", listing).json["volumes"]
    for volume in volumes:
        begun = b""
        ranges = (f"bytes=0-{LEAST_RANGE - 1}", f"bytes={LEAST_RANGE}-")
        for wanted in ranges if volume["size"] > LEAST_RANGE else ("bytes=0-",):
            with server.couriers() as couriers:  # a connection each: any worker
                answer = couriers.request("GET", f"{listing}/{volume['name']}", None, {"Range": wanted})
            assert answer.status == 206, answer
            begun += answer.body
        assert len(begun) == volume["size"]
        out.write_bytes(begun)
        bundle = organisation.read(out)
        found += [b"".join(bundle.read(item)) for item in bundle.items if item.entry.kind == "envelope"]
    return bundle, found


def test_couriers_list_resume_deliver_and_list_again(
    server: Server, organisations: list[Organisation], tmp_path: Path
) -> None:
    """What stayed open in one worker's threads would keep the other from listing for good."""
    one, box = organisations[0], Box()
    text, files, reply = envelope(organisations), envelope(organisations, 100_000), box.reply(300_000)
    newer = one.manifest(serial=(1, 2)).encode()
    with server.client() as client:
        client.upload(text)
        client.upload(files)

    outward, found = carried(server, one, tmp_path / "volume")
    assert {text.whole, files.whole} <= set(found)
    ack = item_of("ack", acknowledge([text.id, files.id], one.desk))
    items = [ack, box.item(reply), item_of("manifest", newer)]
    delivery = inward(tmp_path / "in", one, outward, items, sequence=2, head=bytes(32)).read_bytes()
    with server.couriers() as couriers:
        answer = couriers.request("POST", "/courier/deliver", delivery)
        assert answer.json == {"sequence": 2, "whole": True}
    _, found = carried(server, one, tmp_path / "volume")
    assert not {text.whole, files.whole} & set(found)

    with server.client() as client:
        assert [entry.id for entry in client.mailbox(box).entries] == [reply.id]
        assert client.whole(box, reply).startswith(reply.whole)
        client.delete(box, reply)
        assert client.mailbox(box).entries == ()
        until(lambda: client.request("GET", f"/keys/{one.name}.json").body == newer, 10)


def descriptors(pid: int) -> Counter[str]:
    """The open files of a process, by name."""
    found: Counter[str] = Counter()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found[str(path.readlink())] += 1
    return found


def test_descriptors_stay_as_many(server: Server, organisations: list[Organisation], tmp_path: Path) -> None:
    """After each thread of both workers has had its turn, more turns open no more.

    Connections to the database are a pool's, which takes one more whenever two threads want one at once, and keeps it:
    of those there are never more than it holds, however many turns.
    """

    def turn() -> None:
        carried(server, organisations[0], tmp_path / "volume")
        with server.client() as client:
            client.upload(envelope(organisations, 70_000))

    for _ in range(TURNS):
        turn()
    before = [descriptors(worker.pid) for worker in server.workers()]
    for _ in range(TURNS):
        turn()
    after = [descriptors(worker.pid) for worker in server.workers()]

    pooled = [sum(count for name, count in found.items() if POOLED.search(name)) for found in after]
    assert max(pooled) <= MOST_POOLED, after
    others = [sum(count for name, count in found.items() if not POOLED.search(name)) for found in before + after]
    assert sum(others[2:]) - sum(others[:2]) < TURNS, (before, after)


def test_settle_backup_and_restore(
    server: Server,
    organisations: list[Organisation],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Beside both listeners; restored into fresh stores of the same kinds."""
    settings = request.getfixturevalue("settings")
    kept = envelope(organisations, 100_000)
    with server.client() as client:
        client.upload(kept)
    until(lambda: settle_server(server.home).is_complete)
    seed = new_seed()
    made = make_backup(server.home, tmp_path / "backup", PublicKey(xwing_public(seed)))
    assert (made.envelopes, made.damaged) == (counted(server, Envelope), 0)

    if "database_url" in settings:
        monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(request.getfixturevalue("postgresql")))
    if "blobs_url" in settings:
        monkeypatch.setenv("TIPBOX_BLOBS_URL", f"{settings['blobs_url']}-restored")
    restored = tmp_path / "restored"
    assert restore_backup(restored, seed, tmp_path / "backup").envelopes == made.envelopes
    volumes = [organisations[0].read(path) for path in write_volumes(restored, organisations[0].name, tmp_path / "out")]
    assert kept.id in {item.entry.hash for bundle in volumes for item in bundle.items}
    assert [finding.check for finding in check_server(restored) if not finding.ok] == []


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


@pytest.mark.usefixtures("own_stores")
@pytest.mark.real_clock("S3 refuses what was signed at another time, and a server in Go cannot be told one")
def test_no_start_and_no_export_asks_for_each_object(
    s3: str, organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a million bodies, a request for each takes hours, and the list of all of them minutes."""
    config = s3_config(s3, new_prefix())
    made = {"url": config.url, "endpoint": s3, "access_key": "tipbox", "secret_key": S3_SECRET}
    for name, value in made.items():
        monkeypatch.setenv(f"TIPBOX_BLOBS_{name.upper()}", value)
    server = Here(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    server.upload(envelope(organisations, 1_000))
    asked: list[str] = []
    monkeypatch.setattr(S3Blobs, "size", lambda _, name: asked.append(name))
    monkeypatch.setattr(S3Blobs, "sweep", lambda *_: asked.append("all"))

    prepare_server(server.home, server.keys)
    settle_server(server.home)
    assert len(fetch_here(server.home, organisations[0], tmp_path / "out")) == 1
    assert asked == []
    server.close()


@pytest.mark.usefixtures("own_stores")
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


@pytest.mark.usefixtures("own_stores")
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


@pytest.mark.usefixtures("own_stores")
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

    with pytest.raises(NetworkFailed, match=r"it does not answer; check that it runs, and blobs\.endpoint") as raised:
        blobs.size("0" * 32)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("own_stores")
@pytest.mark.real_clock("S3 refuses what was signed at another time, and a server in Go cannot be told one")
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"url": "s3://nobody-made-this/x"}, r"there is no such bucket; make it, or correct blobs\.url"),
        ({"access_key": "stranger"}, r"it does not let this key in; check blobs\.access_key and blobs\.secret_key"),
        ({"secret_key": "wrong"}, r"it does not let this key in; check blobs\.access_key and blobs\.secret_key"),
    ],
)
def test_a_bucket_or_a_key_that_is_wrong_is_told_at_the_start(
    s3: str, organisations: list[Organisation], tmp_path: Path, settings: dict[str, str], sentence: str
) -> None:
    config = s3_config(s3, new_prefix())
    made = {"url": config.url, "endpoint": s3, "access_key": "tipbox", "secret_key": S3_SECRET} | settings
    with pytest.MonkeyPatch.context() as environment:
        for name, value in made.items():
            environment.setenv(f"TIPBOX_BLOBS_{name.upper()}", value)
        with pytest.raises(NetworkFailed, match=sentence) as raised:
            prepare_server(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("own_stores")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BLOBS_ENDPOINT", "http://s3.example.org"),
        ("LIMITS_URL", "valkey://10.0.0.7:6379"),
        ("DATABASE_URL", "postgresql://tipbox@db.example.org/tips"),
        ("DATABASE_URL", "postgresql://tipbox@db.example.org/tips?sslmode=require"),
        ("DATABASE_URL", "postgresql://tipbox@/tips?host=/run/postgresql&hostaddr=10.0.0.7"),
    ],
)
def test_what_is_on_another_machine_needs_tls(
    organisations: list[Organisation], tmp_path: Path, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TIPBOX_{name}", value)

    with pytest.raises(Usage, match=r"tls|TLS") as raised:
        prepare_server(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    assert value not in str(raised.value)


@pytest.mark.usefixtures("own_stores")
def test_a_database_that_is_not_there_is_named_in_one_line(
    organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIPBOX_DATABASE_URL", f"postgresql://tipbox:hunter2@/tips?host={tmp_path}")

    with pytest.raises(InputRefused, match=r"PostgreSQL does not answer; check .* database\.url") as raised:
        prepare_server(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    assert "\n" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.usefixtures("own_stores")
@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite:///x", "nonsense"])
def test_no_other_database_is_taken(
    organisations: list[Organisation], tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIPBOX_DATABASE_URL", url)

    with pytest.raises(Usage, match=r"database\.url"):
        prepare_server(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
