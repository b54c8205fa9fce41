"""A seized disk: three days of tips, a settle, and then everything that an image of the folder shows."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path

import pytest

from support import clock
from support.sealed import Organisation, Sent, envelope, keys_folder, three
from support.server import Server, start
from tipbox.server.upkeep.seized import SeizureReport, report_seized

TIPBOX = Path(sys.executable).with_name("tipbox")
PER_DAY = 10
CLOSED_DAYS = 3
CANARY = "Балапан saw the column at the bridge"
CIRCUIT = "fc00:dead:beef:4dad:5eed:cafe:f00d"
PAIRS = CLOSED_DAYS * PER_DAY * (PER_DAY - 1) // 2
"""Pairs of Envelopes of one day."""
CHANCE = range(19, PAIRS - 18)
"""How many of them stand in the order of arrival when the order is random: 5.2 standard deviations (of 9.3)."""


@contextmanager
def days_later(monkeypatch: pytest.MonkeyPatch, disk: Disk, count: int) -> Iterator[None]:
    """What is started in here lives so many days later than the disk's first."""
    with monkeypatch.context() as patch:
        for name, value in clock.later(count * clock.DAY + disk.ahead).items():
            patch.setenv(name, value)
        yield


@dataclass
class Disk:
    """The folder after the settle, and what really happened."""

    home: Path
    arrived: list[list[Sent]]
    """Of each closed day, in order."""
    open: list[Sent]
    ahead: int
    """Seconds that its clock is ahead, so that no day of it ends while something arrives."""
    first: date
    before: dict[str, list[float]] = field(default_factory=dict)
    moments: list[float] = field(default_factory=list)
    """When each closed day's first Envelope came, by the kernel's clock, which files show."""

    @property
    def closed(self) -> list[Sent]:
        return [sent for day in self.arrived for sent in day]


def tipbox(*arguments: object) -> str:
    return subprocess.run(
        [str(TIPBOX), *map(str, arguments)], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    ).stdout


def upload(server: Server, organisations: Sequence[Organisation], number: int) -> Sent:
    sent = envelope(organisations, (0, 3000, 90_000)[number % 3], f"{CANARY} {number} ".encode() * 20)
    with server.client(f"{CIRCUIT}:{number:x}") as client:
        assert client.upload(sent).json == {"state": "stored"}
    return sent


@pytest.fixture(name="disk", scope="module")
def _disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    folder = tmp_path_factory.mktemp("seized")
    organisations = three()
    keys = keys_folder(folder / "keys", organisations)
    now = datetime.now(UTC)
    ahead = clock.DAY // 24 if (now + timedelta(hours=1)).date() != now.date() else 0
    disk = Disk(folder / "home", [], [], ahead, (now + timedelta(seconds=ahead)).date())
    with pytest.MonkeyPatch.context() as monkeypatch:
        for day in range(CLOSED_DAYS + 1):
            with days_later(monkeypatch, disk, day):
                server = start(disk.home, keys, unix=True)
            try:
                if day == CLOSED_DAYS:
                    disk.before = measures(disk)
                    with days_later(monkeypatch, disk, day):
                        assert json.loads(tipbox("server", "settle", "--home", disk.home, "--json"))["whole"]
                    disk.open = [upload(server, organisations, number) for number in range(2)]
                else:
                    disk.moments.append(time.time() - clock.shift())
                    disk.arrived.append([upload(server, organisations, number) for number in range(PER_DAY)])
            finally:
                server.stop()
            log = server.log.read_bytes()
            assert CIRCUIT.encode() not in log
    return disk


# --- what an image shows ----------------------------------------------------------------------------------------------


def image(disk: Disk) -> bytes:
    """Every byte of every file, and every name."""
    return b"\n".join(
        str(path.relative_to(disk.home)).encode() + b"\n" + (path.read_bytes() if path.is_file() else b"")
        for path in sorted(disk.home.rglob("*"))
    )


def blob_of(disk: Disk) -> dict[bytes, str]:
    with sqlite3.connect(f"file:{disk.home}/tipbox.db?mode=ro", uri=True) as connection:
        found = dict(connection.execute("SELECT id, blob FROM envelope WHERE blob IS NOT NULL"))
    connection.close()
    return found


def measures(disk: Disk) -> dict[str, list[float]]:
    """Numbers that may tell an order, for the Envelopes of closed days in the order of their arrival."""
    database = disk.home / "tipbox.db"
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(FULL)")
    listed = [row[0] for row in connection.execute("SELECT id FROM envelope")]
    connection.close()
    data = database.read_bytes()
    blobs = blob_of(disk)
    names = {path.name: path for path in (disk.home / "blobs").rglob("*") if path.is_file()}
    folder_order = [entry.name for entry in os.scandir(disk.home / "blobs" / "settled")] if settled(disk) else []
    bodies = [names[blobs[sent.id]] for sent in disk.closed if sent.parts]

    def of_files(number: Callable[[Path], float]) -> list[float]:
        return [number(path) for path in bodies]

    return {
        "pages": [data.find(sent.letter[-64:]) for sent in disk.closed],
        "rows": [listed.index(sent.id) for sent in disk.closed],
        "mtime": of_files(lambda path: path.stat().st_mtime_ns),
        "ctime": of_files(lambda path: path.stat().st_ctime_ns),
        "inode": of_files(lambda path: path.stat().st_ino),
        "crtime": of_files(lambda path: float(stat(path, "%.9W"))),
        "atime": of_files(lambda path: path.stat().st_atime_ns),
        "folder": of_files(lambda path: folder_order.index(path.name)) if folder_order else [],
    }


def stat(path: Path, what: str) -> str:
    """statx(2), which Python does not have; debugfs would need root."""
    return subprocess.run(("stat", "-c", what, path), capture_output=True, text=True, check=True).stdout


def settled(disk: Disk) -> bool:
    return (disk.home / "blobs" / "settled").is_dir()


def in_order(disk: Disk, numbers: Sequence[float], *, bodies: bool) -> int:
    """How many pairs of one day stand in the order of arrival."""
    left = list(numbers)
    count = 0
    for day in disk.arrived:
        size = sum(bool(sent.parts) for sent in day) if bodies else len(day)
        here, left = left[:size], left[size:]
        count += sum(one < other for one, other in combinations(here, 2))
    assert not left
    return count


def pairs(disk: Disk) -> int:
    return sum(size * (size - 1) // 2 for size in (sum(bool(sent.parts) for sent in day) for day in disk.arrived))


def test_before_the_settle_the_order_can_be_read(disk: Disk) -> None:
    """The control: the same look finds it."""
    assert in_order(disk, disk.before["pages"], bodies=False) > 0.75 * PAIRS
    for name in ("mtime", "ctime", "crtime"):
        assert in_order(disk, disk.before[name], bodies=True) == pairs(disk)


def test_after_the_settle_pages_and_rows_show_no_order(disk: Disk) -> None:
    after = measures(disk)

    assert -1 not in after["pages"]
    for name in ("pages", "rows"):
        assert in_order(disk, after[name], bodies=False) in CHANCE


def test_after_the_settle_files_show_no_order_and_no_time(disk: Disk) -> None:
    """ctime, crtime, inode and folder are those of the copying, in random order; mtime and atime say nothing."""
    after = measures(disk)
    few = pairs(disk)

    assert set(after["mtime"]) == {0}
    assert all(moment <= 0 or moment > disk.moments[-1] * 1e9 for moment in after["atime"])
    for name in ("ctime", "crtime", "inode", "folder"):
        # 3 days of 6 or 7 bodies: 5 standard deviations of 5.2 pairs.
        assert abs(in_order(disk, after[name], bodies=True) - few / 2) < 26 * (few / 51)
    for name in ("ctime", "crtime"):
        scale = 1 if name == "crtime" else 1e9
        assert min(after[name]) / scale > max(disk.before["ctime"]) / 1e9  # none is of the arrival


def test_nothing_else_tells_the_second(disk: Disk) -> None:
    """No moment of a closed day stands anywhere, in text or as a number of seconds."""
    found = image(disk)
    seen_by_server = [moment + clock.shift() + disk.ahead + day * clock.DAY for day, moment in enumerate(disk.moments)]
    arrival = [int(moment) + seconds for moment in (*disk.moments, *seen_by_server) for seconds in range(3)]

    assert not re.search(rb"\d\d:\d\d:\d\d", found)
    for moment in arrival:
        assert str(moment).encode() not in found
        for form in (">q", "<q", ">d", "<d"):
            assert struct.pack(form, moment) not in found
    newest = max(path.stat().st_mtime for path in (disk.home / "blobs").glob("*") if path.is_file())
    assert newest > disk.moments[-1]  # only files of today are outside of the settled folder
    assert len([path for path in (disk.home / "blobs").iterdir() if path.is_file()]) == sum(
        bool(sent.parts) for sent in disk.open
    )


def test_no_words_and_no_address(disk: Disk) -> None:
    found = image(disk)
    packed = bytes.fromhex(CIRCUIT.replace(":", ""))
    for needle in (CANARY, "Балапан", "a.bin", CIRCUIT, CIRCUIT.partition(":")[0] + ":"):
        assert needle.encode() not in found
        assert needle.encode("utf-16-le") not in found
    assert packed not in found
    assert disk.closed[0].letter in b"".join(
        row[0]
        for row in sqlite3.connect(f"file:{disk.home}/tipbox.db?mode=ro", uri=True).execute(
            "SELECT letter FROM envelope"
        )
    )  # the control: what is there is found


def test_what_remains_is_printed(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    with days_later(monkeypatch, disk, CLOSED_DAYS):
        said = tipbox("server", "seized", "--home", disk.home)
        facts = json.loads(tipbox("server", "seized", "--home", disk.home, "--json"))

    by_day = [(disk.first + timedelta(days=day)).isoformat() for day in range(CLOSED_DAYS + 1)]
    assert [one["day"] for one in facts["envelopes"]] == by_day
    assert [one["envelopes"] for one in facts["envelopes"]] == [PER_DAY] * CLOSED_DAYS + [len(disk.open)]
    assert facts["settled"] == by_day[-1]
    assert all(f"{day}: {PER_DAY} sealed Envelopes" in said for day in by_day[:-1])
    assert f"Days before {by_day[-1]} are settled" in said
    assert f"The order of {len(disk.open)} Envelopes" in said
    assert not re.search(r"\d:\d\d", said + json.dumps(facts))
    assert CANARY not in said


def test_what_it_counts_is_what_is_there(disk: Disk) -> None:
    found = report_seized(disk.home)

    assert isinstance(found, SeizureReport)
    assert sum(one.envelopes for one in found.envelopes) == found.rows["envelope"] == len(disk.closed) + len(disk.open)
    assert found.files["blobs, settled"] == sum(bool(sent.parts) for sent in disk.closed)
    assert {one.slots for one in found.organisations} == {found.rows["envelope"]}
    assert {one.carried for one in found.organisations} == {0}
    assert sum(found.finished.values()) == found.rows["finished"] == found.rows["envelope"]
