"""A bucket takes bodies as they come, and keeps nothing that no row names: neither objects nor uploads half sent."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, func, insert, select

from stores.hosts import Host
from stores.relay import Relay
from stores.s3_front import Front
from support.client import Answer, bearer
from support.loopback import free_port, until
from support.sealed import Organisation, Sent, envelope
from support.server import Here, Server, named_blobs, start
from support.services import new_prefix, s3_config
from tipbox.errors import NetworkFailed
from tipbox.formats.base import days
from tipbox.formats.base.limits import MIB
from tipbox.server.bundles.export import write_volumes
from tipbox.server.config import load
from tipbox.server.process.run import prepare_server
from tipbox.server.storage import blobs, sweep
from tipbox.server.storage.blobs import BlobStore, S3Blobs
from tipbox.server.storage.models import Gone, Run
from tipbox.server.storage.models import Server as Row
from tipbox.server.storage.open_server import open_server
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.unfinished import _Bucket, abort_unfinished

pytestmark = [
    pytest.mark.real_clock("S3 refuses what was signed at another time, and a server in Go cannot be told one"),
    pytest.mark.usefixtures("bucket"),
]
STORED = {"state": "stored"}
SIZE = 12_000_000
"""Of a body that takes three parts of an upload."""
EVERY_POINT = "EVERY_POINT" in os.environ
STEP = 1 if EVERY_POINT else 29
PIECES = 400
SLOW = 2.0
"""Seconds of a way to a bucket, in each direction."""


@pytest.fixture(name="here")
def _here(keys: Path, tmp_path: Path) -> Iterator[Here]:
    """SQLite and a bucket."""
    server = Here(tmp_path / "home", keys)
    yield server
    server.close()


def objects(home: Path) -> set[str]:
    store = S3Blobs(home / "spool", load(home).blobs)._store
    return {entry["path"] for page in obstore.list(store) for entry in page} - {"label"}


def uploads(home: Path) -> list[str]:
    return [upload.key for upload in _Bucket(load(home).blobs).uploads()]


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1, minutes=1)


def count_gone(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(Gone)).scalar_one()


def carried(home: Path, organisation: Organisation, out: Path) -> set[bytes]:
    """What an export holds, each whole."""
    found = set()
    for path in write_volumes(home, organisation.name, out):
        bundle = organisation.read(path)
        found |= {b"".join(bundle.read(item)) for item in bundle.items if item.entry.kind == "envelope"}
    return found


def put_runs(server: Here, sent: Sent) -> None:
    server.open(sent)
    for first in range(0, len(sent.parts), 64):
        server.put(sent, first, 64)


def put_orphans(home: Path, count: int) -> list[str]:
    store = S3Blobs(home / "spool", load(home).blobs)._store
    names = [f"{number:032x}" for number in range(count)]
    for name in names:
        obstore.put(store, name, b"nobody's")
    return names


# --- uploads ----------------------------------------------------------------------------------------------------------


def test_a_body_is_put_together_without_a_copy_on_the_host(
    here: Here, organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = envelope(organisations, SIZE)
    put_runs(here, sent)

    def no_file(*_: object) -> None:
        raise AssertionError("it lies on the host")

    monkeypatch.setattr(blobs._IncomingObject, "__init__", no_file)
    here.call("POST", "/finish", sent.end, sent)

    assert objects(here.home) == here.read(named_blobs)
    assert uploads(here.home) == []
    assert carried(here.home, organisations[0], tmp_path / "out") == {sent.whole}


def test_a_run_that_was_lost_leaves_no_upload(here: Here, organisations: list[Organisation], tmp_path: Path) -> None:
    """It is noticed in the middle, when parts have been sent already; its parts are asked for again."""
    sent = envelope(organisations, SIZE)
    put_runs(here, sent)
    before = objects(here.home)
    with open_server(here.home) as server:
        runs = server.store.read(lambda connection: connection.execute(select(Run.first, Run.blob)).all())
        lost = {row[0]: row[1] for row in runs}[64 * 2]
        server.blobs.delete([lost])
    answer = here._client.post("/api/envelope/finish", data=sent.end, headers=bearer(sent.token))
    assert answer.json is not None
    assert (answer.json["error"], answer.json["missing"]) == ("incomplete", [[128, len(sent.parts) - 128]])
    assert uploads(here.home) == []
    assert objects(here.home) == before - {lost}

    here.put(sent, 128, 64)
    here.call("POST", "/finish", sent.end, sent)
    assert carried(here.home, organisations[0], tmp_path / "out") == {sent.whole}
    assert objects(here.home) == here.read(named_blobs)


@pytest.fixture(name="way")
def _way(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """The way to the bucket, for servers that begin after it."""
    port = free_port()
    relay = Relay(port, ("127.0.0.1", urlsplit(s3).port or 0))
    monkeypatch.setenv("TIPBOX_BLOBS_ENDPOINT", f"http://127.0.0.1:{port}")
    yield relay
    relay.close()


def test_while_a_bucket_forgets_slowly_others_are_answered(
    way: Relay, keys: Path, organisations: list[Organisation], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Of a part that came twice at once the second object goes; whoever likes can have the worker do that."""
    server = start(tmp_path / "home", keys, unix=True)
    request.addfinalizer(server.kill)
    sent, waited = envelope(organisations, SIZE), [0.0]
    (worker,) = server.workers()

    def on_their_way() -> int:
        """Nameless files, in which parts lie until they are whole."""
        return sum(" (deleted)" in str(one.readlink()) for one in Path(f"/proc/{worker.pid}/fd").iterdir())

    with server.client() as one, server.client() as two, ThreadPoolExecutor() as pool:
        assert one.open(sent).status == 201
        before = on_their_way()
        for line in (one, two):
            part = sent.parts[0]
            line.send("PUT", "/api/envelope/parts/0", part[:-1], bearer(sent.token), length=len(part))
        until(lambda: on_their_way() == before + 2)
        way.delay = SLOW
        for line in (one, two):
            line.line.sendall(sent.parts[0][-1:])
            answer = pool.submit(line.receive)

            def answered(answer: Future[Answer] = answer) -> bool:
                begun = time.monotonic()
                with server.client() as other:
                    assert other.request("GET", "/en/").status == 200
                waited.append(time.monotonic() - begun)
                return answer.done()

            until(answered)
            assert answer.result().status == 200
        way.delay = 0.0
        assert max(waited) < 2 * SLOW, "a way there and back"


def finish(server: Server, sent: Sent) -> int | None:
    try:
        with server.client() as client:
            return client.finish(sent).status
    except OSError:
        return None


@pytest.mark.parametrize("how", ["cut", "killed"])
def test_a_merge_that_is_ended_anywhere_loses_nothing_and_leaves_nothing(
    way: Relay, keys: Path, organisations: list[Organisation], tmp_path: Path, how: str
) -> None:
    """By a bucket that goes away, or by kill -9, at what the host says to the bucket and hears of it."""
    server = start(tmp_path / "home", keys, unix=True)
    sent, number = [], 1
    while number < PIECES:
        one = envelope(organisations, SIZE)
        with server.client() as client:
            client.open(one)
            for first in range(0, len(one.parts), 64):
                assert client.put(one, first, 64).status == 200
        way.at(number, way.cut if how == "cut" else server.kill)
        finish(server, one)
        if not way.never_mind():
            sent.append(one)
            break
        way.mend()
        if how == "killed":
            server = start(tmp_path / "home", keys, unix=True)
        assert finish(server, one) == 200
        sent.append(one)
        number += STEP
    else:
        pytest.fail("the merge has more pieces")
    server.kill()

    assert len(sent) > 2
    assert carried(tmp_path / "home", organisations[0], tmp_path / "out") == {one.whole for one in sent}
    assert [finding.check for finding in check_server(tmp_path / "home") if not finding.ok] == []
    config = load(tmp_path / "home").blobs
    assert abort_unfinished(config) == 0, "those of today may be under way"
    left = uploads(tmp_path / "home")
    assert abort_unfinished(config, tomorrow()) == len(left)
    assert uploads(tmp_path / "home") == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blobs, "S3_ABANDONED", timedelta(days=-1))
        prune_server(tmp_path / "home")
    with open_server(tmp_path / "home") as opened:
        assert objects(tmp_path / "home") == opened.store.read(named_blobs)
        assert opened.store.read(count_gone) == 0


def test_only_this_server_s_uploads_are_ended(here: Here, s3: str) -> None:
    """Beside them lie another server's, and what is none of tipbox's."""
    config = load(here.home).blobs
    other = s3_config(s3, new_prefix())
    ours, theirs = (S3Blobs(Path(), one)._store for one in (config, other))
    name = "a" * 32
    for store, path in ((ours, name), (theirs, name), (ours, "photos"), (ours, f"other/{name}")):
        writer = obstore.open_writer(store, path, buffer_size=5 * MIB, max_concurrency=1)
        writer.write(bytes(11 * MIB))
        writer.flush()
        del writer

    assert uploads(here.home) == [f"{urlsplit(config.url).path.strip('/')}/{name}"]
    assert abort_unfinished(config) == 0
    assert abort_unfinished(config, tomorrow()) == 1
    assert uploads(here.home) == []
    assert len(list(_Bucket(other).uploads())) == 1
    whole = _Bucket(config.model_copy(update={"url": "s3://tipbox"}))
    assert list(whole.uploads()) == []


def test_a_page_of_uploads_follows_the_other(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    store = S3Blobs(Path(), load(here.home).blobs)._store
    for number in range(5):
        writer = obstore.open_writer(store, f"{number:032x}", buffer_size=5 * MIB, max_concurrency=1)
        writer.write(bytes(6 * MIB))
        del writer
    monkeypatch.setattr("tipbox.server.upkeep.unfinished._PAGE", "2")

    assert abort_unfinished(load(here.home).blobs, tomorrow()) == 5
    assert uploads(here.home) == []


def test_what_keeps_uploads_from_being_ended_is_told(here: Here) -> None:
    config = load(here.home).blobs
    wrong = config.model_copy(update={"secret_key": SecretStr("another")})
    away = config.model_copy(update={"endpoint": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(NetworkFailed, match=r"answers 403; let its key list and end uploads"):
        abort_unfinished(wrong)
    with pytest.raises(NetworkFailed, match=r"does not answer; check that it runs"):
        abort_unfinished(away)
    assert abort_unfinished(config.model_copy(update={"access_key": SecretStr("")})) == 0


# --- what nothing names -----------------------------------------------------------------------------------------------


def test_what_was_let_go_of_while_the_bucket_was_away_goes_with_the_next_prune(
    way: Relay, keys: Path, organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source is told that its tip is stored, for it is; and nothing has to be looked for."""
    here = Here(tmp_path / "home", keys)
    prune_server(here.home)
    sent = envelope(organisations, SIZE)
    put_runs(here, sent)
    runs = objects(here.home)

    def release(store: BlobStore, names: Sequence[str]) -> None:
        way.cut()
        sweep.release(store, names)

    monkeypatch.setattr("tipbox.server.uploads.finish.release", release)
    here.call("POST", "/finish", sent.end, sent)
    way.mend()
    assert objects(here.home) == runs | here.read(named_blobs)
    assert here.read(count_gone) == len(runs)
    listed: list[str] = []
    monkeypatch.setattr(S3Blobs, "sweep", lambda *_: listed.append("all"))

    prune_server(here.home)
    assert objects(here.home) == here.read(named_blobs)
    assert here.read(count_gone) == 0
    assert listed == []
    here.close()


def test_a_bucket_is_looked_through_once_a_week_a_page_at_a_time(
    here: Here, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is cut off goes on where it was."""
    monkeypatch.setattr(blobs, "S3_ABANDONED", timedelta(days=-1))
    monkeypatch.setattr(blobs, "_S3_PAGE", 4)
    here.upload(envelope(organisations, 1_000))
    names, asked = put_orphans(here.home, 10), [list[str]()]
    ask = sweep.which_are_named

    def asks(connection: Connection, some: Sequence[str]) -> Collection[str]:
        asked[-1] += some
        if len(asked[-1]) > 6 and len(asked) == 1:
            raise NetworkFailed("cut off")
        return ask(connection, some)

    monkeypatch.setattr(sweep, "which_are_named", asks)
    with pytest.raises(NetworkFailed, match="cut off"):
        prune_server(here.home)
    left = objects(here.home) - here.read(named_blobs)
    assert left == set(names[4:])
    asked.append([])
    assert prune_server(here.home).orphans == 6
    assert not set(names[:4]) & set(asked[1])
    assert objects(here.home) == here.read(named_blobs)

    put_orphans(here.home, 1)
    for day in range(1, sweep.SWEEP_DAYS + 1):
        assert len(objects(here.home)) == 2
        found = prune_server(here.home, confirm_clock=True, today=days.today() + timedelta(days=day)).orphans
        assert found == (day == sweep.SWEEP_DAYS)


@pytest.mark.usefixtures("database")
@pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another")
def test_of_two_hosts_one_at_a_time_removes_and_the_other_finds_it_done(
    hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "S3_ABANDONED", timedelta(days=-1))
    put_orphans(hosts[0].home, 30)
    inside, most, swept, lock = [0], [0], [0], threading.Lock()
    through = S3Blobs.sweep

    def counted(self: S3Blobs, *arguments: object) -> int:
        with lock:
            inside[0], swept[0] = inside[0] + 1, swept[0] + 1
            most[0] = max(most[0], inside[0])
        try:
            return through(self, *arguments)  # type: ignore[arg-type]
        finally:
            with lock:
                inside[0] -= 1

    monkeypatch.setattr(S3Blobs, "sweep", counted)
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(prune_server, [host.home for host in (*hosts, *hosts)]))
    assert sum(result.orphans for result in results) == 30
    assert (most[0], swept[0]) == (1, 1)
    assert objects(hosts[0].home) == set()
    assert hosts[0].store.read(lambda connection: connection.execute(select(Row.swept)).scalar_one()) is not None


# --- what a check says of it ------------------------------------------------------------------------------------------


@pytest.fixture(name="front")
def _front(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """What the servers that begin after it take for their bucket."""
    front = Front(s3)
    monkeypatch.setenv("TIPBOX_BLOBS_ENDPOINT", front.address)
    yield front
    front.close()


MOODS = [
    ("no bucket", "there is no such bucket"),
    ("no such key", "does not let this key in"),
    ("reading only", "does not let this key in"),
    ("full", "has no room"),
    ("another service", "does not answer; check that it runs, and blobs.endpoint"),
]


@pytest.mark.parametrize(("mood", "said"), MOODS, ids=[mood for mood, _ in MOODS])
def test_a_check_says_what_is_wrong_with_the_bucket_and_calls_no_body_lost(
    front: Front, here: Here, organisations: list[Organisation], mood: str, said: str
) -> None:
    """At three in the morning somebody restores a backup where that is what it says."""
    here.upload(envelope(organisations, 1_000))
    assert [finding for finding in check_server(here.home) if not finding.ok] == []
    before = objects(here.home)
    front.mood = mood
    (finding,) = [finding for finding in check_server(here.home) if not finding.ok]
    front.mood = ""

    assert finding.check == "blobs"
    assert said in finding.message
    assert "restore" not in finding.message + finding.remedy
    assert objects(here.home) == before
    assert [finding for finding in check_server(here.home) if not finding.ok] == []
    assert objects(here.home) == before, "what was tried is gone again"


def test_a_check_asks_for_pages_of_the_bucket_and_not_for_each_body(
    here: Here, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    here.upload(*(envelope(organisations, 1_000) for _ in range(7)))
    put_orphans(here.home, 3)
    pages: list[object] = []
    listed = obstore.list

    def noted(*given: Any, **named: Any) -> Any:
        pages.append(named.get("offset"))
        return listed(*given, **named)

    def never(*_: object) -> None:
        raise AssertionError("a body was asked for by itself")

    monkeypatch.setattr(obstore, "list", noted)
    monkeypatch.setattr(obstore, "head", never)
    monkeypatch.setattr(blobs, "_S3_PAGE", 4)
    assert [finding for finding in check_server(here.home) if not finding.ok] == []
    assert 2 <= len(pages) <= 4
    lost = max(here.read(named_blobs))
    obstore.delete(S3Blobs(Path(), load(here.home).blobs)._store, lost)
    (finding,) = [finding for finding in check_server(here.home) if not finding.ok]
    assert "1 bodies are gone" in finding.message

    monkeypatch.setattr(blobs, "_S3_MOST_PAGES", 1)
    assert [finding for finding in check_server(here.home) if not finding.ok] == [], "it looked at few"


def test_only_blobs_are_removed_whatever_is_noted(here: Here, organisations: list[Organisation]) -> None:
    """Whoever can write rows cannot have the label removed by them, by which no other server takes the bucket."""
    here.upload(envelope(organisations, 1_000))
    store = S3Blobs(Path(), load(here.home).blobs)._store
    orphan = put_orphans(here.home, 1)[0]
    with open_server(here.home) as opened:
        names = ["label", "../label", "", orphan]
        opened.store.write(lambda connection: connection.execute(insert(Gone), [{"blob": name} for name in names]))
        prune_server(here.home)
        assert opened.store.read(count_gone) == 0
    assert bytes(obstore.get(store, "label").bytes()).startswith(b"tipbox blobs 1 ")
    assert objects(here.home) == here.read(named_blobs)


def test_a_damaged_label_is_made_anew(here: Here, organisations: list[Organisation]) -> None:
    """By what the sentence says, and without a backup: the bodies are all there."""
    here.upload(envelope(organisations, 1_000))
    store = S3Blobs(Path(), load(here.home).blobs)._store
    obstore.put(store, "label", b"<html>Please log in</html>")
    (finding,) = [finding for finding in check_server(here.home) if not finding.ok]
    assert "check blobs.endpoint" in finding.message
    assert "remove what is named label, and start again" in finding.message

    obstore.delete(store, "label")
    prepare_server(here.home, here.keys)
    assert [finding for finding in check_server(here.home) if not finding.ok] == []
