"""Several hosts on one PostgreSQL are one server: one identity, the same manifests and exports, one clock."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, event, func, select
from sqlalchemy.pool import Pool

from stores.hosts import Host, joining, share_bodies
from support.client import bearer
from support.clock import later
from support.loopback import until
from support.sealed import Box, Organisation, envelope, inward
from support.server import start
from support.services import S3_SECRET, new_database, new_prefix, s3_config
from tipbox.errors import InputRefused, TipboxError
from tipbox.formats.base import days
from tipbox.formats.base.primitives import new_seed, xwing_public
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.formats.mailbox_list import MailboxList, encode_tokens
from tipbox.server.backup.operator_key import PublicKey
from tipbox.server.backup.rotation import backup_into
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.config import Config, Limits
from tipbox.server.home import Home, ServerKeys, load_server_keys, write_server_keys
from tipbox.server.process.run import prepare_server
from tipbox.server.storage import clock
from tipbox.server.storage import organisations as kept_organisations
from tipbox.server.storage.models import DecoyOpening, Ledger
from tipbox.server.storage.models import Host as HostRow
from tipbox.server.storage.open_server import open_server
from tipbox.server.storage.organisations import ManifestFile, adopt
from tipbox.server.upkeep import hosts as upkeep_hosts
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.settle import settle_server
from tipbox.server.web.rates import Rates
from tipbox.server.web.worker_keys import CIRCUIT

pytestmark = [
    pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another"),
    pytest.mark.usefixtures("database"),
]
STARTS = 20
PART = 65_536
FIVE_DAYS = 5 * 86_400


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
        now = host.sources.get("/api/now").get_json()
        assert newer.decode() in now["manifests"]
        assert before.decode() not in now["manifests"]


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
    cut = here.fetch(one, volume["name"], "0-")[:5000]
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
            here.fetch(one, volume["name"], "0-")
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


def test_a_database_that_takes_no_writes_is_found(hosts: tuple[Host, Host]) -> None:
    """As a standby, or on a full disk: it answers every question, and no tip is stored."""
    here = hosts[0]
    engine = here.store.engine
    with engine.connect() as connection:
        name = connection.execute(select(func.current_database())).scalar_one()
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        connection.commit()
    (finding,) = [finding for finding in check_server(here.home) if not finding.ok]
    assert finding.check == "database"
    assert "PostgreSQL takes no writes" in finding.message
    with engine.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = off")
        connection.commit()
        connection.exec_driver_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        connection.commit()
        kept = connection.execute(select(func.count()).select_from(DecoyOpening)).scalar_one()
    assert [finding.check for finding in check_server(here.home) if not finding.ok] == []
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(DecoyOpening)).scalar_one() == kept


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


def test_circuits_of_two_hosts_share_no_budget(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tor numbers its circuits from small numbers on, so on two hosts one number is two sources."""

    def host(name: str) -> FlaskClient:
        monkeypatch.setattr(socket, "gethostname", lambda: name)
        app = Flask(name)
        rates = Rates(app, Config(limits=Limits(url=valkey)))
        app.route("/")(rates.limit(1)(lambda: "here"))
        return app.test_client()

    here, here_too, there = host("a"), host("a"), host("b")
    circuit = {CIRCUIT: f"fc00::{secrets.token_hex(2)}"}

    assert here.get("/", environ_overrides=circuit).status_code == 200
    assert here_too.get("/", environ_overrides=circuit).status_code == 429, "another worker of the same host"
    assert there.get("/", environ_overrides=circuit).status_code == 200


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


def test_hosts_that_serve_different_sites_are_found(
    hosts: tuple[Host, Host], keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources of one would see other pages than those of the other."""

    def found() -> str:
        bad = [finding for finding in check_server(hosts[1].home) if not finding.ok and finding.check == "hosts"]
        return "".join(f"{finding.message}: {finding.remedy}" for finding in bad)

    def begin(number: int) -> None:
        monkeypatch.setattr(socket, "gethostname", lambda: f"host{number}")
        prepare_server(hosts[number].home, keys)

    hosts[0].store.write(lambda connection: connection.execute(delete(HostRow)))  # by this machine's own name
    begin(0)
    begin(1)
    assert found() == ""
    webcat = Home(hosts[1].home).webcat
    webcat.mkdir()
    (webcat / "enrollment.json").write_bytes(b"{}")
    begin(1)
    assert "serve 2 different site lists: copy site.json and webcat of one to all" in found()
    shutil.copytree(webcat, Home(hosts[0].home).webcat)
    begin(0)
    assert found() == ""
    with monkeypatch.context() as changed:
        changed.setattr(upkeep_hosts, "_material", lambda: "0123456789abcdef")
        begin(0)
    assert "hosts of one release make their pages of different files: one of them was changed" in found()
    with monkeypatch.context() as upgraded:
        upgraded.setattr(upkeep_hosts, "_material", lambda: "0123456789abcdef")
        upgraded.setattr(upkeep_hosts, "__version__", "later")
        begin(0)
    assert found() == "", "while they are upgraded one by one"
    monkeypatch.setenv("TIPBOX_SERVER_LANGUAGE", "ru")
    begin(0)
    assert found() != ""

    monkeypatch.setattr(socket, "gethostname", lambda: "host1")
    for day in range(1, upkeep_hosts.FORGOTTEN_DAYS + 2):
        prune_server(hosts[1].home, confirm_clock=True, today=days.today() + timedelta(days=day))
    assert found() == "", "the other one is gone"
