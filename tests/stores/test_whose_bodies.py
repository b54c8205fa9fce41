"""Bodies are removed by the one database that knows them, and by none that is empty, restored or was forgotten."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import obstore
import pytest

from stores.hosts import Host
from support.sealed import Organisation, Sent, envelope
from support.services import S3_SECRET, new_database, new_prefix, s3_config
from tipbox.errors import InputRefused, TipboxError
from tipbox.formats.base.primitives import new_seed, xwing_public
from tipbox.server.backup import restore
from tipbox.server.backup.create import make_backup
from tipbox.server.backup.operator_key import PublicKey
from tipbox.server.backup.restore import restore_backup
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage import blobs
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.status import server_status

pytestmark = [
    pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another"),
    pytest.mark.usefixtures("database"),
]
PART = 65_536


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
    monkeypatch.setattr(blobs, "S3_ABANDONED", timedelta(days=-1))
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
    monkeypatch.setattr(blobs, "S3_ABANDONED", timedelta(days=-1))
    database = os.environ["TIPBOX_DATABASE_URL"]

    monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(postgresql))
    # While only texts wait, no body lies there: the label alone says that there is another database.
    for upload in (None, host.upload_whole):
        if upload is not None:
            upload(sent)
        with pytest.raises(InputRefused, match=r"may be running; .* or that database in database\.url"):
            prepare_server(host.home, keys)
    with pytest.raises(InputRefused, match=r"no server has run with this database; correct database\.url"):
        server_status(host.home)  # the refused start has made the tables
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
