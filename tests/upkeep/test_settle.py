"""The nightly settle: what a seized disk shows of closed days, beside a running server, and after kill -9."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Executable, func, insert, select, text

from support.killed import killed_at
from support.sealed import PART, Organisation, Sent, envelope, keys_folder
from support.server import Here, named_blobs, running
from tipbox.formats.base import days
from tipbox.formats.base.primitives import random_bytes
from tipbox.server.bundles import kept_exports
from tipbox.server.bundles.export import write_volumes
from tipbox.server.config import load
from tipbox.server.home import Home
from tipbox.server.storage.blobs import LocalBlobs
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.models import Base, Envelope, Slot, StoredVolume
from tipbox.server.storage.open_server import open_server
from tipbox.server.storage.transactions import Store
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.seized import report_seized
from tipbox.server.upkeep.settle import last_settled, settle_server

pytestmark = pytest.mark.reads_date

LETTERS = 60
COUNTERS = (slice(24, 28), slice(40, 44), slice(92, 96))
"""Of SQLite's header: how often the file changed. They tell how many nights were settled."""
PAGE = 4096


def tomorrow() -> date:
    """Asked for when it is needed: a run may go on past midnight."""
    return days.today() + timedelta(days=1)


def written(path: Path) -> date:
    """The day on which a file was written last, by the kernel's clock, which settling goes by."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).date()


@pytest.fixture(name="keys", scope="module")
def _keys(organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keys_folder(tmp_path_factory.mktemp("keys") / "keys", organisations)


def fetched(server: Here, organisation: Organisation, out: Path) -> list[bytes]:
    bundles = [organisation.read(path) for path in write_volumes(server.home, organisation.name, out)]
    return sorted(
        b"".join(bundle.read(item)) for bundle in bundles for item in bundle.items if item.entry.kind == "envelope"
    )


def files(server: Here) -> dict[str, Path]:
    """Every blob's file by its name; a name that is there twice fails."""
    found = [path for path in (server.home / "blobs").rglob("*") if path.is_file()]
    assert len({path.name for path in found}) == len(found)
    return {path.name: path for path in found}


def is_well(server: Here) -> bool:
    return all(finding.ok for finding in check_server(server.home))


# --- the database -----------------------------------------------------------------------------------------------------


def rows(count: int) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Envelopes as rows, with letters of all sizes."""
    made = []
    for number in range(count):
        ident = random_bytes(32)
        slots = [{"envelope": ident, "organisation": b"%016d" % which, "acknowledged": False} for which in range(3)]
        made.append(
            (
                {
                    "id": ident,
                    "hash": random_bytes(32),
                    "trailer": random_bytes(96),
                    "effort": 0,
                    "day": days.today(),
                    "seen_day": 0,
                    "body_size": 0,
                    "blob": None,
                    "header": random_bytes(120 + 3 * 1296),
                    "letter": random_bytes((8192, 20480, 69632)[number % 3] + 16),
                },
                slots,
            )
        )
    return made


def _execute(connection: Connection, statement: Executable, rows: list[dict[str, Any]] | None = None) -> None:
    connection.execute(statement, rows)


def arrive(home: Path, keys: Path, arrivals: Sequence[tuple[dict[str, Any], list[dict[str, Any]]]]) -> Path:
    """A server whose Envelopes came in this order, one after the other, some going again in between."""
    server = Here(home, keys)
    database = Home(home).database
    engine = make_engine(Home(home), load(home))
    store = Store(engine)
    store.write(
        lambda connection: [
            connection.exec_driver_sql(
                "INSERT INTO organisation (id, name, identity) VALUES (?, ?, ?)",
                (b"%016d" % which, f"o{which}", b"%032d" % which),
            )
            for which in range(3)
        ]
    )
    # Each server has random decoys of its own, made at its first start; they tell nothing of what came: made equal.
    for table, column in (("decoy", "entry"), ("decoy_opening", "opening")):
        equal = f"UPDATE {table} SET {column} = zeroblob(length({column}))"  # noqa: S608 (names of this line)
        store.write(partial(_execute, statement=text(equal)))
    for envelope_row, slots in arrivals:
        store.write(partial(_execute, statement=insert(Envelope), rows=[envelope_row]))
        store.write(partial(_execute, statement=insert(Slot), rows=slots))
    engine.dispose()
    server.close()
    return database


def comparable(database: Path) -> bytes:
    data = bytearray(database.read_bytes())
    for place in COUNTERS:
        data[place] = bytes(4)
    return bytes(data)


def letters_in_pages(database: Path, arrivals: Sequence[tuple[dict[str, Any], object]]) -> list[int]:
    """Where in the file the end of each letter lies, in order of arrival."""
    data = database.read_bytes()
    return [data.find(bytes(row["letter"])[-64:]) for row, _ in arrivals]


def test_the_database_is_the_same_bytes_in_whatever_order_they_came(
    organisations: list[Organisation], keys: Path, tmp_path: Path
) -> None:
    """Before the settle, pages lie in order of arrival; after it, two servers with the same rows have the same file."""
    del organisations
    one = rows(LETTERS)
    other = list(one)
    secrets.SystemRandom().shuffle(other)
    # Each server has a key of its own, and the settle stamps with it: made equal, as the decoys are.
    Here(tmp_path / "one", keys).close()
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    databases = [arrive(tmp_path / "one", keys, one), arrive(tmp_path / "other", keys, other)]
    for home in ("one", "other"):
        with sqlite3.connect(Home(tmp_path / home).database) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    before = letters_in_pages(databases[0], one)
    assert -1 not in before
    assert sum(one < other for one, other in pairwise(before)) > 0.9 * LETTERS  # the order of arrival
    assert comparable(databases[0]) != comparable(databases[1])

    done = [settle_server(tmp_path / home, today=tomorrow()) for home in ("one", "other")]

    assert all(one.is_complete and one.database for one in done)
    assert comparable(databases[0]) == comparable(databases[1])
    after = letters_in_pages(databases[0], one)
    by_id = [place for _, place in sorted(zip((row["id"] for row, _ in one), after, strict=True))]
    assert by_id == sorted(by_id)  # page after page, by random id


def test_no_free_page_no_log_and_no_rowid_is_left(server: Here, organisations: list[Organisation]) -> None:
    server.upload(*(envelope(organisations) for _ in range(5)))

    settle_server(server.home, today=tomorrow())

    home = Home(server.home)
    assert home.database.with_name("tipbox.db-wal").stat().st_size == 0
    with sqlite3.connect(f"file:{home.database}?mode=ro", uri=True) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        tables = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert set(Base.metadata.tables) <= set(tables)
    assert {name for name, sql in tables.items() if "WITHOUT ROWID" not in sql} == {"alembic_version"}


def test_the_nights_that_were_settled_can_be_counted(server: Here) -> None:
    """SQLite counts rewritings in the header of its file; the day of the last stands beside it."""
    home, counted = Home(server.home), []
    for night in range(1, 4):
        settle_server(server.home, today=days.today() + timedelta(days=night))
        with sqlite3.connect(f"file:{home.database}?mode=ro", uri=True) as connection:
            counted += connection.execute("PRAGMA schema_version").fetchone()
        connection.close()

    assert [later - earlier for earlier, later in pairwise(counted)] == [1, 1]
    last = days.today() + timedelta(days=3)
    said = [report_seized(server.home, today=last + timedelta(days=ago)).order[0] for ago in (0, 2)]
    assert last_settled(home) == last
    assert said[0].startswith(f"Days before {last} are settled")
    assert said[1].startswith(f"Settled on {last} last: the days since may show their order")


# --- blobs ------------------------------------------------------------------------------------------------------------


def test_files_of_closed_days_have_one_time_and_a_random_order(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    sent = [envelope(organisations, 70_000) for _ in range(12)]
    server.upload(*sent)
    draft = envelope(organisations, 200_000)
    server.open(draft)
    server.put(draft, 0, 2)
    before = {name: path.stat() for name, path in files(server).items()}
    arrived = [name for name, _ in sorted(before.items(), key=lambda item: item[1].st_mtime_ns)]

    done = settle_server(server.home, today=tomorrow())

    assert (done.blobs, done.remaining, done.is_complete) == (13, 0, True)
    after = {name: path.stat() for name, path in files(server).items()}
    assert set(after) == set(before) == server.read(named_blobs)
    assert {one.st_mtime_ns for one in after.values()} == {0}
    assert all(before[name].st_ino != after[name].st_ino for name in before)
    for order in (
        [name for name, _ in sorted(after.items(), key=lambda item: item[1].st_ctime_ns)],
        [name for name, _ in sorted(after.items(), key=lambda item: item[1].st_ino)],
        sorted(after, key=lambda name: birth(files(server)[name])),
        [entry.name for entry in os.scandir(server.home / "blobs" / "settled")],
    ):
        assert order not in (arrived, arrived[::-1])
    assert fetched(server, organisations[0], tmp_path / "out") == sorted(one.whole for one in sent)
    server.put(draft, 2, 64)
    server.call("POST", "/finish", draft.end, draft)
    assert draft.whole in fetched(server, organisations[0], tmp_path / "again")
    prune_server(server.home)
    assert set(files(server)) == server.read(named_blobs)
    assert is_well(server)


def birth(path: Path) -> str:
    """When the file's inode was made, as `stat` reads it by statx."""
    return subprocess.run(("stat", "-c", "%W %w", path), capture_output=True, text=True, check=True).stdout


def test_files_of_today_stay(server: Here, organisations: list[Organisation]) -> None:
    server.upload(envelope(organisations, 1000))
    (blob,) = files(server).values()

    done = settle_server(server.home, today=written(blob))

    assert (done.blobs, done.is_complete) == (0, True)
    assert [path.parent.name for path in files(server).values()] == ["blobs"]


def test_no_stamp_tells_what_came_before_an_export(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    """An export stamps what is there. Of two Envelopes of one closed day, the one with a stamp would be the first."""
    early, late = envelope(organisations), envelope(organisations)
    server.upload(early)
    assert fetched(server, organisations[0], tmp_path / "out") == [early.whole]
    server.upload(late)

    settle_server(server.home, today=tomorrow())

    stamped = server.read(lambda connection: connection.execute(select(Envelope.stamp.is_not(None))).scalars().all())
    assert stamped in ([True, True], [False, False])


def test_no_folder_tells_when_something_in_it_went(server: Here, organisations: list[Organisation]) -> None:
    """What a source deleted, or did not bring to its end, leaves the second of it on the folder that it was in."""
    server.upload(envelope(organisations, 1000))
    settle_server(server.home, today=tomorrow())
    blobs = LocalBlobs(server.home / "blobs")
    (settled,) = (server.home / "blobs" / "settled").iterdir()
    blobs.delete([settled.name])
    with blobs.create():
        pass  # cut before its first part was whole
    (server.home / "spool" / "tmpabc").touch()  # as where a file system makes no nameless files
    (server.home / "spool" / "tmpabc").unlink()
    folders = [settled.parent, server.home / "blobs", server.home / "spool"]
    before = [folder.stat() for folder in folders]

    settle_server(server.home, today=tomorrow())

    after = [folder.stat() for folder in folders]
    assert all(one.st_mtime_ns != other.st_mtime_ns for one, other in zip(before, after, strict=True))
    assert all(one.st_ctime_ns != other.st_ctime_ns for one, other in zip(before, after, strict=True))


def test_what_goes_goes_from_both_folders(server: Here, organisations: list[Organisation]) -> None:
    server.upload(envelope(organisations, 1000), envelope(organisations, 1000))
    settle_server(server.home, today=tomorrow())
    server.upload(envelope(organisations, 1000))
    blobs = LocalBlobs(server.home / "blobs")
    settled = next(iter((server.home / "blobs" / "settled").iterdir()))

    blobs.delete([settled.name])
    (server.home / "blobs" / "settled" / ("e" * 32)).write_bytes(b"no row names this")
    (server.home / "blobs" / ("f" * 32)).write_bytes(b"nor this")
    removed = prune_server(server.home).orphans

    assert blobs.size(settled.name) is None
    assert removed == 2
    assert len(files(server)) == 2


def test_a_body_that_is_still_coming_is_left(server: Here) -> None:
    """Its file is from yesterday and locked by whoever writes it."""
    blobs = LocalBlobs(server.home / "blobs")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    with blobs.create() as coming:
        coming.write(b"the first bytes")
        (path,) = blobs.unsettled()
        os.utime(path, (yesterday, yesterday))

        done = settle_server(server.home)

        assert (done.blobs, done.remaining, done.is_complete) == (0, 1, False)
        assert path.exists()
    assert settle_server(server.home).is_complete


def test_stale_files_and_exports_go(server: Here, organisations: list[Organisation]) -> None:
    stale = [
        server.home / "keys" / ".0123456789abcdef.part",
        server.home / "spool" / "tmpabc",
        server.home / "outgoing" / "tmpdef",
    ]
    name, today = organisations[0].name, days.today()
    with open_server(server.home) as opened:
        kept_exports.present_export(opened, name, today)
    old = datetime.combine(today - timedelta(days=3), time(), UTC).timestamp()
    for path in stale:
        path.write_bytes(b"left by a crash")
        os.utime(path, (old, old))

    def count(table: type[StoredVolume]) -> int:
        return server.read(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one())

    settle_server(server.home, today=today)
    assert not any(path.exists() for path in stale)
    assert count(StoredVolume) == 1
    settle_server(server.home, today=today + timedelta(days=1))
    assert count(StoredVolume) == 0


def test_a_file_that_goes_while_files_are_listed_ends_no_settle(
    server: Here, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece that was moved into its file, and an upload that was given up, are gone when their day is asked for."""
    server.upload(envelope(organisations, PART))
    listed = LocalBlobs.unsettled
    gone = server.home / "blobs" / ("0" * 32)
    monkeypatch.setattr(LocalBlobs, "unsettled", lambda blobs: [gone, *listed(blobs)])

    done = settle_server(server.home, today=tomorrow())

    assert (done.blobs, done.remaining, done.is_complete) == (1, 0, True)


def test_it_runs_beside_a_server_under_load(organisations: list[Organisation], keys: Path, tmp_path: Path) -> None:
    """Uploads go on while it settles again and again; everything answered is there, whole."""
    with running(tmp_path / "home", keys) as server:
        sent: list[Sent] = []
        settling = subprocess.Popen(
            (sys.executable, "-c", REPEATED, str(server.home), "12", tomorrow().isoformat()),
            stdout=subprocess.PIPE,
        )
        while settling.poll() is None:
            sent.append(envelope(organisations, PART if len(sent) % 2 else 0))
            with server.client() as client:  # each on a circuit of its own, which has a budget
                assert client.upload(sent[-1]).json == {"state": "stored"}
        out, _ = settling.communicate()
        assert settling.returncode == 0
        assert int(out) > 0  # files were copied

        kept = fetched(Here(server.home, keys), organisations[1], tmp_path / "out")
        assert kept == sorted(one.whole for one in sent)
        assert all(finding.ok for finding in check_server(server.home))


REPEATED = """
import sys
from datetime import date
from pathlib import Path
from tipbox.server.upkeep.seized import report_seized
from tipbox.server.upkeep.settle import last_settled, settle_server
done = [settle_server(Path(sys.argv[1]), today=date.fromisoformat(sys.argv[3])) for _ in range(int(sys.argv[2]))]
print(sum(one.blobs for one in done))
"""


# --- kill -9 ----------------------------------------------------------------------------------------------------------

EACH = range(1, 60)
SOME = (1, 5, 13, 34, 89, 233, 377)


@pytest.mark.parametrize(
    ("call", "numbers"),
    [("fsync", EACH), ("fdatasync", EACH), ("rename", EACH), ("unlink", EACH), ("pwrite64", SOME)],
)
def test_kill_9_at_each_write_loses_nothing(
    organisations: list[Organisation], keys: Path, tmp_path: Path, call: str, numbers: Sequence[int]
) -> None:
    server = Here(tmp_path / "home", keys)
    sent = [envelope(organisations, size) for size in (0, 1000, PART, 0)]
    server.upload(*sent)
    expected = sorted(one.whole for one in sent)
    kills = 0
    for number in numbers:
        if not killed_at(call, number, lambda: settle_server(server.home, today=tomorrow())):
            break
        kills += 1
        assert fetched(server, organisations[2], tmp_path / f"out-{number}") == expected
    else:
        pytest.fail("the settle never came through")

    assert kills
    assert settle_server(server.home, today=tomorrow()).is_complete
    assert set(files(server)) == server.read(named_blobs)
    assert fetched(server, organisations[2], tmp_path / "out") == expected
    assert not list(server.home.rglob(".*.part"))
    assert is_well(server)
    server.close()
