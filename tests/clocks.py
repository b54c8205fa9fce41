"""Runs the units by other clocks than the machine's: python tests/clocks.py [--reads-date] [CLOCK...] [-- PYTEST...].

By each of the clocks in turn, or by those that are named; the exit code says whether all runs were green. What is
shifted and what is not: tests/support/clock.py. Tests that are marked ``real_clock`` are left out, and with
``--reads-date`` also all but those that are marked ``reads_date`` and not named in tests/clocks.txt.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Final

import pytest

from support.clock import later
from support.reads_date import UNITS

ROOT: Final = Path(__file__).resolve().parents[1]
LEAP_DAY: Final = date(2028, 2, 29)
BEFORE_MIDNIGHT: Final = 4
"""Seconds that are left of the day when the tests of a file begin."""


@dataclass(frozen=True)
class Clock:
    """A clock to run by.

    Attributes:
        moment: what it shows when the tests start, from what the machine's shows (both UTC).
        zone: the time zone of the machine.
        by_file: whether each file starts anew at that moment, in a process of its own.
    """

    moment: Callable[[datetime], datetime]
    zone: str = "UTC"
    by_file: bool = False

    def environment(self, ahead: float = 0) -> dict[str, str]:
        """The variables for a program that starts now and should see the moment so many seconds later."""
        now = datetime.now(UTC)
        seconds = round((self.moment(now) - now).total_seconds() - ahead)
        # An outer run's pytest speaks to its own processes there.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return {**kept, **later(seconds), "TZ": self.zone}


def days_on(count: int, hour: int | None = None) -> Callable[[datetime], datetime]:
    """So many days later; at that hour (UTC), or at the hour that it is."""
    return lambda now: (now if hour is None else now.replace(hour=hour)) + timedelta(days=count)


def before_midnight(now: datetime) -> datetime:
    """The last moments of the day."""
    tomorrow = datetime.combine(now.date() + timedelta(days=1), clock_time(), UTC)
    return tomorrow - timedelta(seconds=BEFORE_MIDNIGHT)


CLOCKS: Final = {
    "3-days": Clock(days_on(3, hour=12), "Pacific/Kiritimati"),
    "60-days": Clock(days_on(60)),
    "400-days": Clock(days_on(400, hour=4), "America/Adak"),
    "leap-day": Clock(lambda now: datetime.combine(LEAP_DAY, now.timetz())),
    "midnight": Clock(before_midnight, by_file=True),
}
"""At 12:00 UTC it is already tomorrow in Kiritimati, at 04:00 UTC it is still yesterday in Adak."""


def run_by(clock: Clock, jobs: int, arguments: Sequence[str]) -> bool:
    """Run the units with these arguments for pytest; whether all were green."""
    command = (sys.executable, "-m", "pytest", "-q", "-m", "not real_clock", *arguments)
    if clock.by_file:
        return _run_files(clock, jobs, command)
    spread = ("-n", str(jobs), "--dist", "loadfile", "--no-loadscope-reorder") if jobs > 1 else ()
    folders = [f"tests/{name}" for name in UNITS]
    done = subprocess.run((*command, *spread, *folders), cwd=ROOT, env=clock.environment(), check=False)
    return done.returncode == pytest.ExitCode.OK


def _run_files(clock: Clock, jobs: int, command: Sequence[str]) -> bool:
    files = [file for name in UNITS for file in sorted((ROOT / "tests" / name).glob("test_*.py"))]
    began = time.monotonic()
    subprocess.run((*command, "--collect-only", files[0]), cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    ahead = time.monotonic() - began

    def run(file: Path) -> bool:
        environment = clock.environment(ahead)
        done = subprocess.run((*command, file), cwd=ROOT, env=environment, stdout=PIPE, stderr=STDOUT, check=False)
        green = done.returncode in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
        if not green:
            sys.stdout.buffer.write(done.stdout)
            sys.stdout.buffer.flush()
        return green

    with ThreadPoolExecutor(jobs) as pool:
        green = list(pool.map(run, files))
    print(f"{sum(green)} of {len(files)} files green")
    return all(green)


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(description="Runs the units by other clocks; after -- come options of pytest.")
    parser.add_argument("clocks", nargs="*", metavar="CLOCK", help=f"one of {', '.join(CLOCKS)}; default: all")
    parser.add_argument("--reads-date", action="store_true", help="only the tests that are marked so")
    parser.add_argument("--jobs", type=int, default=min(4, (os.cpu_count() or 1) + 1), help="how many processes")
    options = parser.parse_args(arguments[:end])
    if unknown := set(options.clocks) - CLOCKS.keys():
        parser.error(f"no such clock: {', '.join(sorted(unknown))}")
    for_pytest = (*(("--reads-date",) if options.reads_date else ()), *arguments[end + 1 :])

    green = True
    for name in options.clocks or CLOCKS:
        print(f"clock {name}", flush=True)
        began = time.monotonic()
        is_green = run_by(CLOCKS[name], options.jobs, for_pytest)
        print(f"clock {name}: {'green' if is_green else 'red'}, {time.monotonic() - began:.0f} seconds", flush=True)
        green &= is_green
    return 0 if green else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
