"""Several hosts on one PostgreSQL are one server: one identity, the same manifests and exports, one clock."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, select
from sqlalchemy.pool import Pool

from support.client import bearer
from support.clock import later
from support.loopback import until
from support.sealed import Box, Organisation, Sent, envelope, inward, keys_folder, three
from support.server import start
from support.services import S3_SECRET, new_database, new_prefix, s3_config
from tipbox.errors import InputRefused, TipboxError
from tipbox.formats.base import days
from tipbox.formats.base.primitives import new_seed, xwing_public
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.formats.mailbox_list import MailboxList, encode_tokens
from tipbox.server.backup import restore
from tipbox.server.backup.create import make_backup
from tipbox.server.backup.operator_key import PublicKey
from tipbox.server.backup.restore import restore_backup
from tipbox.server.backup.rotation import backup_into
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.home import Home, ServerKeys, load_server_keys, write_server_keys
from tipbox.server.process.run import prepare_server
from tipbox.server.storage import blobs, clock
from tipbox.server.storage import organisations as kept_organisations
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.executors import InPlaceThreads
from tipbox.server.storage.models import Ledger
from tipbox.server.storage.open_server import open_server
from tipbox.server.storage.organisations import ManifestFile, adopt
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.settle import settle_server
from tipbox.server.web.app import STORE, create_app
from tipbox.server.web.courier_api import create_courier_app

pytestmark = pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another")
STARTS = 20
PART = 65_536
FIVE_DAYS = 5 * 86_400


@dataclass
class Host:
    """A host without a process: both applications, called in place."""

    home: Path
    sources: FlaskClient
    couriers: FlaskClient
    store: Any

    @classmethod
    def begin(cls, home: Path, keys: Path) -> Host:
        config = prepare_server(home, keys)
        engine = make_engine(Home(home), config)
        sources = create_app(Home(home), config, engine=engine)
        couriers = create_courier_app(Home(home), config, threads=InPlaceThreads(), engine=engine)
        return cls(home, sources.test_client(), couriers.test_client(), sources.extensions[STORE])

    def upload(self, sent: Sent) -> None:
        answer = self.sources.put("/api/envelope", data=sent.start, headers=bearer(sent.token))
        assert answer.status_code == 201, answer.data

    def upload_whole(self, sent: Sent) -> None:
        """With its body, which is a single part."""
        answer = self.sources.put("/api/envelope", data=sent.start, headers=bearer(sent.token))
        assert answer.status_code == 201, answer.data
        answer = self.sources.put("/api/envelope/parts/0", data=b"".join(sent.parts), headers=bearer(sent.token))
        assert answer.status_code == 200, answer.data
        answer = self.sources.post("/api/envelope/finish", data=sent.end, headers=bearer(sent.token))
        assert answer.json == {"state": "stored"}, answer.data

    def carries(self, sent: Sent, organisation: Organisation, out: Path) -> bool:
        """Whether an export has it, whole."""
        volumes = [organisation.read(path) for path in write_volumes(self.home, organisation.name, out)]
        return any(b"".join(bundle.read(item)) == sent.whole for bundle in volumes for item in bundle.items)

    def volumes(self, organisation: Organisation) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.couriers.get(f"/courier/bundles/{organisation.name}").json["volumes"]  # type: ignore[index]
        return listed

    def fetch(self, organisation: Organisation, name: str, wanted: str) -> bytes:
        answer = self.couriers.get(f"/courier/bundles/{organisation.name}/{name}", headers={"Range": f"bytes={wanted}"})
        assert answer.status_code == 206, answer.data
        data: bytes = answer.data
        return data


@pytest.fixture(name="organisations", scope="module")
def _organisations() -> list[Organisation]:
    return three()


@pytest.fixture(name="keys")
def _keys(organisations: list[Organisation], tmp_path: Path) -> Path:
    return keys_folder(tmp_path / "keys", organisations)


@pytest.fixture(autouse=True)
def _database(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared by all hosts of a test, and used by no other."""
    monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(postgresql))


@pytest.fixture(name="bucket")
def _bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a prefix that is every host's of the test."""
    config = s3_config(s3, new_prefix())
    settings = {"url": config.url, "endpoint": s3, "access_key": "tipbox", "secret_key": S3_SECRET}
    for name, value in settings.items():
        monkeypatch.setenv(f"TIPBOX_BLOBS_{name.upper()}", value)
    return config.url


@pytest.fixture(name="hosts")
def _hosts(keys: Path, tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    one = Host.begin(tmp_path / "a", keys)
    two = Host.begin(joining(tmp_path / "b", one.home), keys)
    yield one, two
    for host in (one, two):
        host.store.engine.dispose()


def joining(home: Path, other: Path) -> Path:
    """A folder for one more host of the server in ``other``; where bodies are not in S3, both mount one folder."""
    home.mkdir(mode=0o700)
    shutil.copy(Home(other).server_key, Home(home).server_key)
    share_bodies(home, other)
    return home


def share_bodies(home: Path, other: Path) -> None:
    """Let a host use the folder of another one."""
    Home(other).blobs.mkdir(mode=0o700, exist_ok=True)
    if Home(home).blobs.exists():
        Home(home).blobs.rmdir()
    Home(home).blobs.symlink_to(Home(other).blobs)


def test_a_host_without_the_server_s_keys_says_what_to_copy(keys: Path, tmp_path: Path) -> None:
    prepare_server(tmp_path / "a", keys)
    home = tmp_path / "b"

    with pytest.raises(InputRefused, match=r"whose keys are not here; copy server\.key from a host that has it"):
        prepare_server(home, keys)
    assert not Home(home).server_key.exists(), "a second identity"
    write_server_keys(Home(home))
    for refused in (lambda: prepare_server(home, keys), lambda: write_volumes(home, "kibhr", tmp_path / "out")):
        with pytest.raises(InputRefused, match=r"and server\.key is of the server .*; copy it from"):
            refused()
    shutil.copy(Home(tmp_path / "a").server_key, Home(home).server_key)
    share_bodies(home, tmp_path / "a")
    prepare_server(home, keys)
    assert load_server_keys(Home(home)).id == load_server_keys(Home(tmp_path / "a")).id


def test_a_host_with_a_folder_of_bodies_of_its_own_is_told_to_share(keys: Path, tmp_path: Path) -> None:
    """Else each would have half of the bodies, and neither could hand out the other's."""
    prepare_server(tmp_path / "a", keys)
    home = joining(tmp_path / "b", tmp_path / "a")
    Home(home).blobs.unlink()

    with pytest.raises(InputRefused, match=r"share a database share a bucket: set blobs\.url on all of them"):
        prepare_server(home, keys)
    share_bodies(home, tmp_path / "a")
    prepare_server(home, keys)


def test_a_bucket_belongs_to_one_server(s3: str, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server would sweep away what no row of its own names."""
    config = s3_config(s3, new_prefix())
    settings = {"url": config.url, "endpoint": s3, "access_key": "tipbox", "secret_key": S3_SECRET}
    for name, value in settings.items():
        monkeypatch.setenv(f"TIPBOX_BLOBS_{name.upper()}", value)
    prepare_server(tmp_path / "a", keys)
    database = os.environ["TIPBOX_DATABASE_URL"]

    monkeypatch.setenv("TIPBOX_DATABASE_URL", "")
    with pytest.raises(InputRefused, match=r"belongs to the server .*; give this one a bucket or a prefix of its own"):
        prepare_server(tmp_path / "b", keys)
    monkeypatch.setenv("TIPBOX_DATABASE_URL", database)
    monkeypatch.setenv("TIPBOX_BLOBS_URL", f"{config.url}-other")
    for refused in (lambda: prepare_server(tmp_path / "a", keys), lambda: prune_server(tmp_path / "a")):
        with pytest.raises(InputRefused, match=r"are in another bucket, prefix or folder; correct blobs\.url"):
            refused()


def test_of_hosts_that_start_at_once_one_makes_the_server(
    keys: Path, tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty times on an empty database: the other one is told whose keys to copy, and neither fails otherwise."""

    def begin(home: Path) -> ServerKeys | TipboxError:
        try:
            prepare_server(home, keys)
        except TipboxError as error:
            return error
        return load_server_keys(Home(home))

    for number in range(STARTS):
        monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(postgresql))
        homes = [tmp_path / f"{number}{name}" for name in "ab"]
        with ThreadPoolExecutor(len(homes)) as threads:
            ends = list(threads.map(begin, homes))
        refused = [str(end) for end in ends if isinstance(end, TipboxError)]
        assert len(refused) == 1, ends
        assert "copy server.key" in refused[0]


def test_hosts_with_one_key_start_at_once(keys: Path, tmp_path: Path) -> None:
    one = tmp_path / "a"
    one.mkdir(mode=0o700)
    write_server_keys(Home(one))
    homes = [one, *(joining(tmp_path / name, one) for name in "bcd")]

    with ThreadPoolExecutor(len(homes)) as threads:
        list(threads.map(lambda home: prepare_server(home, keys), homes))


def test_a_revoked_manifest_vanishes_from_every_host(
    hosts: tuple[Host, Host], organisations: list[Organisation], tmp_path: Path
) -> None:
    one, (here, there) = organisations[0], hosts
    before = there.sources.get(f"/keys/{one.name}.json").data
    newer = one.manifest(serial=(2, 1)).encode()
    outward = one.read(write_volumes(here.home, one.name, tmp_path / "out")[0])
    items = [item_of("manifest", newer)]
    (taken,) = import_bundles(here.home, [inward(tmp_path / "in", one, outward, items)])

    assert taken.manifests == [one.name]
    assert before != newer
    for host in hosts:
        until(lambda host=host: host.sources.get(f"/keys/{one.name}.json").data == newer, 2)  # type: ignore[misc]
        assert before not in host.sources.get("/send").data


def test_a_removed_organisation_does_not_come_back_with_a_revoked_manifest(
    hosts: tuple[Host, Host], organisations: list[Organisation], keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, today = organisations[0], days.today()
    with open_server(hosts[0].home) as server:
        revoking = one.manifest(serial=(2, 1))
        assert adopt(server.home, server.store, ManifestFile(revoking, revoking.encode()), today)
        assert kept_organisations.remove(server.home, server.store, one.name)
    until(lambda: hosts[1].sources.get(f"/keys/{one.name}.json").status_code == 404, 2)

    prepare_server(hosts[1].home, keys)  # its --keys have 1.1 still, and it starts all the same
    assert "was removed from this server, so its key manifest" in capsys.readouterr().err
    for host in hosts:
        assert host.sources.get(f"/keys/{one.name}.json").status_code == 404
    newest = one.manifest(serial=(2, 2)).encode()
    (keys / f"{one.name}.json").write_bytes(newest)
    prepare_server(hosts[1].home, keys)
    until(lambda: hosts[0].sources.get(f"/keys/{one.name}.json").data == newest, 2)


def test_a_download_goes_on_at_another_host_and_what_is_delivered_counts_at_all(
    hosts: tuple[Host, Host], organisations: list[Organisation], tmp_path: Path
) -> None:
    one, box, (here, there) = organisations[0], Box(), hosts
    first, second = envelope([one]), envelope([one])
    here.upload(first)
    there.upload(second)

    (volume,) = here.volumes(one)
    assert there.volumes(one) == [volume], "one export, whoever is asked"
    cut = here.fetch(one, volume["name"], "0-4999")
    path = tmp_path / "volume"
    path.write_bytes(cut + there.fetch(one, volume["name"], "5000-"))
    outward = one.read(path)
    assert {item.entry.hash for item in outward.items if item.entry.kind == "envelope"} == {first.id, second.id}
    reply = box.reply()
    items = [item_of("ack", acknowledge([first.id, second.id], one.desk)), box.item(reply)]
    back = inward(tmp_path / "in", one, outward, items, head=bytes(32)).read_bytes()
    assert there.couriers.post("/courier/deliver", data=back).json == {"sequence": 1, "whole": True}

    (new,) = here.volumes(one)
    assert new["name"] == f"{one.name}-2-1.bundle"
    listed = MailboxList.parse(here.sources.post("/api/mailbox", data=encode_tokens(box.tokens)).data)
    assert [entry.id for entry in listed.entries] == [reply.id]


def test_what_is_sealed_to_a_revoked_key_is_carried_no_further(
    hosts: tuple[Host, Host], organisations: list[Organisation]
) -> None:
    """Whoever has the key could read an export that is handed out until the day ends."""
    one, (here, there) = organisations[0], hosts
    here.upload(envelope([one]))
    (before,) = here.volumes(one)
    newer = replace(one, seed=new_seed())
    revoking = newer.manifest(serial=(2, 1))
    with open_server(here.home) as server:
        assert adopt(server.home, server.store, ManifestFile(revoking, revoking.encode()), days.today())

    answer = there.couriers.get(f"/courier/bundles/{one.name}/{before['name']}")
    assert answer.status_code == 404
    (after,) = there.volumes(one)
    assert after["name"] != before["name"]
    whole = io.BytesIO(there.fetch(one, after["name"], "0-"))
    assert len(list(Bundle(whole, one.id, newer.find_key).items)) > 1
    assert there.volumes(one) == [after], "made once"


def test_a_courier_s_request_opens_no_connection(hosts: tuple[Host, Host], organisations: list[Organisation]) -> None:
    """Each host has as many connections to PostgreSQL as its workers keep, however often couriers come."""
    here, one, opened = hosts[0], organisations[0], []
    (volume,) = here.volumes(one)

    def note(*_: object) -> None:
        opened.append(1)

    event.listen(Pool, "connect", note)
    try:
        for _ in range(5):
            here.fetch(one, volume["name"], "0-99")
            assert here.volumes(one) == [volume]
    finally:
        event.remove(Pool, "connect", note)
    assert opened == []


def test_a_host_whose_clock_is_days_off_stops_itself_and_no_other(
    hosts: tuple[Host, Host], organisations: list[Organisation], keys: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from tipbox.errors import TipboxError\n"
        "from tipbox.server.process.run import prepare_server\n"
        "from tipbox.server.upkeep.prune import prune_server\n"
        "for start in (lambda: prepare_server(Path(sys.argv[1]), Path(sys.argv[2])), "
        "lambda: prune_server(Path(sys.argv[1]))):\n"
        "    try:\n        start()\n        print('went on')\n"
        "    except TipboxError as error:\n        print(error)\n"
    )
    here, there = hosts
    done = subprocess.run(
        (sys.executable, "-c", code, there.home, keys),
        env={**os.environ, **later(FIVE_DAYS)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    said = done.stdout.splitlines()
    assert len(said) == 2, said
    for line in said:
        assert line.startswith("comparing clocks: this host says "), said
        assert line.endswith("set the one right that is wrong, and start again"), said
    here.upload(envelope(organisations))
    with open_server(here.home) as server:
        last, held = server.store.read(
            lambda connection: connection.execute(select(Ledger.last_day, Ledger.held)).one()
        )
    assert (last, bool(held)) == (days.today(), False)
    assert [finding.check for finding in check_server(here.home) if not finding.ok] == []


def test_a_host_that_slept_asks_which_day_it_is(hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its monotonic clock stood still, and with the day before its sleep it would hold the clock of all."""
    calendar, slept = clock.Calendar(hosts[0].store), timedelta(days=3)
    today = calendar()

    assert calendar._told is not None
    calendar._told -= slept
    assert calendar() == today - slept, "it believes what it was told within the minute"
    wall = time.time() + slept.total_seconds()
    monkeypatch.setattr(time, "time", lambda: wall)
    assert calendar() == today


def test_one_host_at_a_time_looks_after_the_server(hosts: tuple[Host, Host]) -> None:
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda host: settle_server(host.home, today=days.today() + timedelta(days=1)), hosts))

    assert all(one.is_complete for one in done)


def test_two_real_hosts(
    request: pytest.FixtureRequest,
    organisations: list[Organisation],
    keys: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With S3 and Valkey beside the database: parts by turns, and either is killed in the middle."""
    config = s3_config(request.getfixturevalue("s3"), new_prefix())
    settings = {"blobs_url": config.url, "blobs_endpoint": config.endpoint, "blobs_access_key": "tipbox"}
    settings |= {"blobs_secret_key": S3_SECRET, "limits_url": request.getfixturevalue("valkey")}
    for name, value in settings.items():
        monkeypatch.setenv(f"TIPBOX_{name.upper()}", value)
    one = start(tmp_path / "a", keys, unix=True)
    two = start(joining(tmp_path / "b", one.home), keys, unix=True)
    sent = [envelope(organisations, 20 * 65_536) for _ in range(2)]
    try:
        for files in sent:
            with one.client() as client:
                assert client.open(files).status == 201
            for first in range(0, 12, 2):
                with (one, two)[first // 2 % 2].client() as client:
                    assert client.put(files, first, 2).status == 200
        for killed, other, files in ((two, one, sent[0]), (one, two, sent[1])):
            with killed.client() as client:  # in the middle of a run
                run = b"".join(files.parts[12:16])
                client.send("PUT", "/api/envelope/parts/12", run[:70_000], bearer(files.token), len(run))
                killed.kill()
            with other.client() as client:
                for first in range(0, len(files.parts), 8):
                    assert client.put(files, first, 8).status == 200
                assert client.finish(files).json == {"state": "stored"}
            if killed is two:
                two.__dict__.update(start(two.home, keys, unix=True).__dict__)
        out = [organisations[0].read(path) for path in write_volumes(two.home, organisations[0].name, tmp_path / "out")]
        found = [b"".join(item_bundle.read(item)) for item_bundle in out for item in item_bundle.items]
        assert {files.whole for files in sent} <= set(found)
    finally:
        one.kill()
        two.kill()


def test_of_two_restores_into_one_database_one_is_done(
    hosts: tuple[Host, Host], organisations: list[Organisation], tmp_path: Path, postgresql: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Whoever comes second finds a server's rows there, and removes nothing of them."""
    seed, sent = new_seed(), envelope(organisations)
    hosts[0].upload(sent)
    made = tmp_path / "backup"
    make_backup(hosts[1].home, made, PublicKey(xwing_public(seed)))
    monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(postgresql))

    def restore(home: Path) -> str:
        try:
            return str(restore_backup(home, seed, made).envelopes)
        except TipboxError as error:
            return str(error)

    homes = [tmp_path / name for name in "cd"]
    with ThreadPoolExecutor(len(homes)) as threads:
        ends = sorted(threads.map(restore, homes))

    assert ends == ["1", "restoring: the database that database.url names is not empty; name an empty one"]
    (done,) = (home for home in homes if Home(home).server_key.exists())
    assert [finding.check for finding in check_server(done) if not finding.ok] == []


def test_a_restore_beside_a_living_server_removes_nothing_of_it(
    bucket: str, keys: Path, organisations: list[Organisation], tmp_path: Path,
    *, postgresql: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Tried out into an empty database, with the settings that the backup holds: the bucket is the living server's."""
    seed, sent, made = new_seed(), envelope(organisations, PART), tmp_path / "backup"
    host = Host.begin(tmp_path / "a", keys)
    host.upload_whole(sent)
    make_backup(host.home, made, PublicKey(xwing_public(seed)))
    monkeypatch.setattr(blobs, "_S3_ABANDONED", timedelta(days=-1))
    database = os.environ["TIPBOX_DATABASE_URL"]

    for home, url in ((tmp_path / "b", new_database(postgresql)), (tmp_path / "c", "")):
        monkeypatch.setenv("TIPBOX_DATABASE_URL", url)
        with pytest.raises(InputRefused, match=r"may be running; name an empty bucket, prefix or folder in blobs\.url"):
            restore_backup(home, seed, made)
    monkeypatch.setenv("TIPBOX_DATABASE_URL", database)
    assert host.carries(sent, organisations[0], tmp_path / "out")
    monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(postgresql))
    monkeypatch.setenv("TIPBOX_BLOBS_URL", f"{bucket}-empty")
    assert restore_backup(tmp_path / "d", seed, made).envelopes == 1
    host.store.engine.dispose()


def test_a_server_begun_anew_removes_nothing_of_the_one_before(
    bucket: str, keys: Path, organisations: list[Organisation], tmp_path: Path,
    *, postgresql: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A misspelt database is an empty one: with the same keys, no row of it names what lies in the bucket."""
    sent = envelope(organisations, PART)
    host = Host.begin(tmp_path / "a", keys)
    host.upload_whole(sent)
    monkeypatch.setattr(blobs, "_S3_ABANDONED", timedelta(days=-1))
    database = os.environ["TIPBOX_DATABASE_URL"]

    monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(postgresql))
    with pytest.raises(InputRefused, match=r"may be running; .* or that database in database\.url"):
        prepare_server(host.home, keys)
    monkeypatch.setenv("TIPBOX_DATABASE_URL", database)
    assert host.carries(sent, organisations[0], tmp_path / "out")
    host.store.engine.dispose()
    assert bucket


@pytest.mark.parametrize("first", ["SQLite", "PostgreSQL"])
def test_a_folder_keeps_its_bodies_whatever_database_it_meets(
    first: str, keys: Path, organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever forgets to name the database begins an empty one: no row of it names what lies in the folder."""
    urls = {"SQLite": "", "PostgreSQL": os.environ["TIPBOX_DATABASE_URL"]}
    (other,) = urls.keys() - {first}
    home, sent = tmp_path / "a", envelope(organisations, PART)
    monkeypatch.setenv("TIPBOX_DATABASE_URL", urls[first])
    host = Host.begin(home, keys)
    host.upload_whole(sent)
    host.store.engine.dispose()

    monkeypatch.setenv("TIPBOX_DATABASE_URL", urls[other])
    for _ in range(2):  # the first one leaves nothing by which the second takes the bodies for its own
        with pytest.raises(InputRefused, match=r"database\.url"):
            prepare_server(home, keys)
    assert Home(home).database.exists() == (first == "SQLite")
    monkeypatch.setenv("TIPBOX_DATABASE_URL", urls[first])
    host = Host.begin(home, keys)
    assert host.carries(sent, organisations[0], tmp_path / "out")
    host.store.engine.dispose()


def test_an_earlier_database_removes_nothing_of_the_one_that_came_after(
    keys: Path, organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite, with nothing in the folder yet; then PostgreSQL, with tips; then SQLite again."""
    home, sent, database = tmp_path / "a", envelope(organisations, PART), os.environ["TIPBOX_DATABASE_URL"]
    monkeypatch.setenv("TIPBOX_DATABASE_URL", "")
    prepare_server(home, keys)
    monkeypatch.setenv("TIPBOX_DATABASE_URL", database)
    host = Host.begin(home, keys)
    host.upload_whole(sent)

    monkeypatch.setenv("TIPBOX_DATABASE_URL", "")
    for refused in (lambda: prepare_server(home, keys), lambda: prune_server(home)):
        with pytest.raises(InputRefused, match=r"may be running; .* or that database in database\.url"):
            refused()
    monkeypatch.setenv("TIPBOX_DATABASE_URL", database)
    assert host.carries(sent, organisations[0], tmp_path / "out")
    host.store.engine.dispose()


def test_a_bucket_is_not_taken_while_the_bodies_are_in_the_folder(
    s3: str, keys: Path, organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, sent, config = tmp_path / "a", envelope(organisations, PART), s3_config(s3, new_prefix())
    monkeypatch.setenv("TIPBOX_DATABASE_URL", "")
    host = Host.begin(home, keys)
    host.upload_whole(sent)

    settings = {"url": config.url, "endpoint": s3, "access_key": "tipbox", "secret_key": S3_SECRET}
    with monkeypatch.context() as patched:
        for name, value in settings.items():
            patched.setenv(f"TIPBOX_BLOBS_{name.upper()}", value)
        with pytest.raises(InputRefused, match=r"are in another bucket, prefix or folder; correct blobs\.url"):
            prepare_server(home, keys)
    prepare_server(home, keys)
    assert host.carries(sent, organisations[0], tmp_path / "out")
    host.store.engine.dispose()


def test_a_restore_that_was_cut_off_is_not_repeated_over_a_server_that_lives(
    keys: Path, organisations: list[Organisation], tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody restored it on another host in the meantime, into the same database."""
    seed, sent, made = new_seed(), envelope(organisations, PART), tmp_path / "backup"
    host = Host.begin(tmp_path / "a", keys)
    host.upload_whole(sent)
    make_backup(host.home, made, PublicKey(xwing_public(seed)))
    host.store.engine.dispose()
    monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(postgresql))

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(restore, "fill_server", cut)
        with pytest.raises(KeyboardInterrupt):
            restore_backup(tmp_path / "b", seed, made)
    assert restore_backup(tmp_path / "c", seed, made).envelopes == 1
    Home(tmp_path / "b").blobs.symlink_to(Home(tmp_path / "c").blobs)
    with pytest.raises(InputRefused, match=r"may be running; name an empty"):
        restore_backup(tmp_path / "b", seed, made)
    Home(tmp_path / "b").blobs.unlink()
    with pytest.raises(InputRefused, match=r"the database that database\.url names is in use by the server"):
        restore_backup(tmp_path / "b", seed, made)
    living = Host.begin(tmp_path / "c", keys)
    assert living.carries(sent, organisations[0], tmp_path / "out")
    living.store.engine.dispose()


def test_a_label_that_was_lost_is_put_back(
    bucket: str, keys: Path, organisations: list[Organisation], tmp_path: Path, s3: str
) -> None:
    host = Host.begin(tmp_path / "a", keys)
    host.upload_whole(envelope(organisations, PART))
    kept = blobs.S3Blobs(tmp_path, s3_config(s3, bucket.rpartition("/")[2]))
    label = kept.label()

    obstore.delete(kept._store, "label")
    prepare_server(host.home, keys)
    assert kept.label() == label
    host.store.engine.dispose()


def test_a_start_waits_for_the_blob_store_in_no_transaction(
    hosts: tuple[Host, Host], organisations: list[Organisation], keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one host's does not answer, the others take tips."""
    asked = blobs.LocalBlobs.label
    taken: list[Sent] = []

    def label(self: blobs.LocalBlobs) -> bytes | None:
        if not taken:
            taken.append(envelope(organisations))
            other = ThreadPoolExecutor(1)
            uploading = other.submit(hosts[0].upload, taken[0])
            other.shutdown(wait=False)
            uploading.result(20)
        return asked(self)

    monkeypatch.setattr(blobs.LocalBlobs, "label", label)
    prepare_server(hosts[1].home, keys)
    assert taken


def test_a_backup_has_the_day_that_all_hosts_share(
    hosts: tuple[Host, Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before midnight a host may be a day behind the database."""
    monkeypatch.setattr(days, "today", lambda: date(2000, 1, 1))
    with open_server(hosts[0].home) as server:
        shared = server.today()
    (tmp_path / "kept").mkdir()

    made = backup_into(hosts[0].home, tmp_path / "kept", PublicKey(xwing_public(new_seed())), keep=2)
    assert made.path.name == f"tipbox-{shared}.bak"
