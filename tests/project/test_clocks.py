"""The tests are green on any day: those that read the date run by a second clock, and none reads it unnoticed.

`make clocks` runs all units by more clocks; what reads the date and takes long (servers in processes, keys of vaults)
runs so only there. tests/clocks.txt names it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import clocks
from support.check import load
from support.outcomes import outcomes
from support.reads_date import LIST, UNITS
from support.tree import ROOT

TESTS = """
import subprocess
import sys

import pytest

from tipbox.formats.base import days


@pytest.fixture(scope="session")
def day():
    return days.today()


@pytest.fixture
def week(day):
    return [day]


def test_asks_for_it():
    days.today()


def test_is_given_it(day):
    pass


def test_is_given_what_comes_of_it(week):
    pass


def test_starts_a_tipbox():
    subprocess.run([sys.executable, "-m", "tipbox.cli", "--help"], capture_output=True)


@pytest.mark.reads_date
def test_says_so():
    days.today()


@pytest.mark.real_clock("a reason")
def test_runs_by_no_other():
    days.today()


def test_does_not():
    subprocess.run([sys.executable, "-c", ""])


def test_has_a_clock_of_its_own(monkeypatch):
    monkeypatch.setattr(days, "today", lambda: None)
    days.today()


class TestNearer:
    @pytest.fixture
    def day(self):
        return None

    def test_is_given_another_of_its_name(self, day):
        pass
"""
LOOK = """
import json, os, time

from support.clock import real

began = time.monotonic()
time.sleep(0.01)
waited = time.monotonic() - began
print(json.dumps([time.time(), time.localtime().tm_hour, waited, sorted(os.environ.keys() - real().keys())]))
"""
ASKS = re.compile(r"\b(date|datetime)\.(now|today|utcnow)\(|\btime\.(time|time_ns|gmtime|localtime|ctime)\(")
MOMENTS = {
    "tests/faults/test_canary.py": "seconds",
    "tests/load/test_circuits.py": "when counts of a minute end",
    "tests/project/test_clocks.py": "this file",
    "tests/stores/certificates.py": "for how long a certificate is good",
    "tests/stores/test_bucket.py": "a day after an upload was begun",
    "tests/stores/test_hosts.py": "the wall clock of a host that slept",
    "tests/upkeep/test_seized.py": "the moments that nothing may tell",
    "tests/upkeep/test_settle.py": "a file's time",
    "tipbox/desk/custody/chain.py": "the time of an act",
    "tipbox/formats/base/days.py": "the one place",
    "tipbox/server/backup/create.py": "the age of a file",
    "tipbox/server/storage/blobs.py": "the age of an upload",
    "tipbox/server/storage/clock.py": "how far this machine's clock is from that of PostgreSQL",
    "tipbox/server/upkeep/unfinished.py": "the age of an upload, and when a request is signed",
    "tipbox/server/web/counts.py": "when a count ends",
    "tipbox/server/web/rates.py": "seconds until a limit ends",
    "tipbox/verify/watching.py": "the hour of a look",
}
"""Who asks for more than the day, and what for."""


@pytest.mark.real_clock("it runs others by clocks")
@pytest.mark.timeout(1800)
def test_what_reads_the_date_is_green_in_sixty_days() -> None:
    done = subprocess.run(
        (sys.executable, ROOT / "tests" / "clocks.py", "--reads-date", "--jobs", "1", "60-days"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) > 100


def test_one_that_reads_the_date_and_does_not_say_so_fails(tmp_path: Path) -> None:
    folder = tmp_path / "formats"
    folder.mkdir()
    ended, output = outcomes(folder, TESTS, "-p", "support.reads_date", "-o", "markers=reads_date")

    assert ended == {
        "test_asks_for_it": "FAILED",
        "test_is_given_it": "FAILED",
        "test_is_given_what_comes_of_it": "FAILED",
        "test_starts_a_tipbox": "FAILED",
        "test_says_so": "PASSED",
        "test_runs_by_no_other": "PASSED",
        "test_does_not": "PASSED",
        "test_has_a_clock_of_its_own": "PASSED",
        "test_is_given_another_of_its_name": "PASSED",
    }
    assert output.count("reads the date: mark it reads_date, or name it in tests/clocks.txt") >= 4


@pytest.mark.parametrize("name", load(LIST))
def test_what_is_left_to_make_clocks_is_there(name: str) -> None:
    file, _, test = name.partition("::")
    found = [path for path in ROOT.glob(file) if path.name.startswith("test_")]
    assert found
    assert not test or f"def {test.partition('[')[0].rstrip('*')}" in found[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", clocks.CLOCKS)
def test_a_clock_shows_another_moment_and_waits_as_long(name: str) -> None:
    """And what tests start by the machine's own clock sees nothing of it."""
    clock = clocks.CLOCKS[name]
    now = datetime.now(UTC)
    done = subprocess.run(
        (sys.executable, "-c", LOOK), cwd=ROOT / "tests", env=clock.environment(), capture_output=True, check=True
    )
    shown, hour, waited, own = json.loads(done.stdout)

    expected = clock.moment(now)
    assert expected.timestamp() <= shown + 1 < expected.timestamp() + 60
    assert hour == datetime.fromtimestamp(shown, ZoneInfo(clock.zone)).hour
    assert 0.01 <= waited < 60
    assert own == ["DATEFUDGE", "LD_PRELOAD", "TZ"]


def test_the_day_is_asked_for_at_one_place() -> None:
    """Else a test could read the date unnoticed."""
    folders = [ROOT / "tipbox", ROOT / "tests" / "support", *(ROOT / "tests" / name for name in UNITS)]
    found = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in folder.rglob("*.py")
        if ASKS.search(path.read_text(encoding="utf-8"))
    }

    assert found == MOMENTS.keys()
