"""Figures with their spread and bounds, and the machine that they were measured on."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil

T = TypeVar("T")
QUIET: Final = 90.0
"""Per cent of the processor that is idle before a bench, at which its absolute figures mean something."""


@dataclass(frozen=True)
class Spread:
    """Median and extremes of some runs."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def __str__(self) -> str:
        if self.runs == 1:
            return _number(self.median)
        return f"{_number(self.median)} ({_number(self.low)} - {_number(self.high)}, n={self.runs})"


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    `held`: None where no bound is set; `quiet`: whether the machine was so before; `known`: where it is said that the
    bound is missed, and what was tried.
    """

    bench: str
    what: str
    unit: str
    spread: Spread
    bound: str = ""
    held: bool | None = None
    quiet: bool = True
    known: str = ""

    @property
    def verdict(self) -> str:
        missed = f"NOT MET, as {self.known} says" if self.known else "NOT MET"
        said = {True: "held", False: missed, None: ""}[self.held]
        return f"{said}, on a machine that was not quiet" if said and not self.quiet else said


@dataclass
class Bench:
    """The figures of one bench; the medians are what bounds are held against."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    idle_before: float = 0.0
    """Per cent of the processor that nothing used just before."""

    @property
    def quiet(self) -> bool:
        """Whether nothing else ran just before: else times and rates are of this machine and its other work."""
        return self.idle_before >= QUIET

    def note(
        self,
        what: str,
        unit: str,
        values: Sequence[float] | float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        known: str = "",
    ) -> None:
        """Record and print a figure, with its bound if it has one; ``known``: where it is said that it is missed."""
        spread = Spread.of([values] if isinstance(values, (int, float)) else values)
        bound, held = "", None
        if at_least is not None:
            bound, held = f">= {_number(at_least)}", spread.median >= at_least
        if at_most is not None:
            assert at_least is None
            bound, held = f"<= {_number(at_most)}", spread.median <= at_most
        figure = Figure(self.name, what, unit, spread, bound, held, self.quiet, known)
        self.figures.append(figure)
        print(f"  {what}: {spread} {unit} {bound} {figure.verdict}".rstrip(), flush=True)

    def note_ratios(
        self,
        what: str,
        ours: Sequence[float],
        theirs: Sequence[float],
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Record ours / theirs, round by round."""
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        self.note(what, "x", ratios, at_least=at_least, at_most=at_most)

    def assert_held(self) -> None:
        """Fail with the figures whose bounds do not hold, but for those that are known and documented."""
        missed = [
            f"{one.what}: {one.spread} {one.unit}, bound {one.bound}, {one.verdict}"
            for one in self.figures
            if one.held is False and not one.known
        ]
        assert not missed, "; ".join(missed)


def in_turn(rounds: int, *runs: Callable[[], T]) -> list[list[T]]:
    """Call all runs in turn, `rounds` times; the values of each. Odd rounds go backwards, so none is always first."""
    values: list[list[T]] = [[] for _ in runs]
    for number in range(rounds):
        order = range(len(runs)) if number % 2 == 0 else reversed(range(len(runs)))
        for place in order:
            values[place].append(runs[place]())
    return values


def percentile(values: Sequence[float], per_cent: float) -> float:
    """The value that `per_cent` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(per_cent) // 100) - 1)]


@dataclass
class Ledger:
    """All benches of a session."""

    benches: list[Bench] = field(default_factory=list)

    @contextmanager
    def bench(self, name: str) -> Iterator[Bench]:
        """A bench to note figures in; its bounds are held at the end of the block."""
        bench = Bench(name, idle_before=100.0 - psutil.cpu_percent(interval=3.0))
        self.benches.append(bench)
        print(f"\n{name} (processor {bench.idle_before:.0f} % idle before)", flush=True)
        if not bench.quiet:
            print("  the machine is not quiet: only figures taken in turn with another's mean something", flush=True)
        yield bench
        bench.assert_held()

    def table(self) -> Iterator[str]:
        """Lines for people."""
        rows = [
            (one.bench, one.what, f"{one.spread} {one.unit}", one.bound, one.verdict)
            for bench in self.benches
            for one in bench.figures
        ]
        heads = ("bench", "figure", "median (min - max)", "bound", "")
        widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
        for row in (heads, *rows):
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    def write(self, path: Path, machine: Mapping[str, str]) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        figures = [asdict(one) for bench in self.benches for one in bench.figures]
        idle = {bench.name: round(bench.idle_before, 1) for bench in self.benches}
        value = {"machine": dict(machine), "idle_before": idle, "figures": figures}
        path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def machine() -> dict[str, str]:
    """What a reader must know of the machine and the programs compared."""
    memory = psutil.virtual_memory().total / 2**30
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{_debian()}, Linux {platform.release()}",
        "disk": f"{_fsync_rate():.0f} fsyncs/s of 4 KiB appended, {tempfile.gettempdir()}",
        "python": platform.python_version(),
        "age": _version("age", "--version"),
        "gpg": _version("gpg", "--version"),
        "firefox": _version("firefox-esr", "--version"),
    }


def _version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()[0]


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _debian() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")


def _fsync_rate() -> float:
    """Fsyncs per second of a file that grows by 4 KiB each."""
    with tempfile.NamedTemporaryFile() as file:
        begun, count = time.perf_counter(), 0
        while time.perf_counter() - begun < 1.0:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            count += 1
        return count / (time.perf_counter() - begun)


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def as_json(value: Any) -> str:
    """One line of JSON, for programs that speak to each other."""
    return json.dumps(value, separators=(",", ":"))
