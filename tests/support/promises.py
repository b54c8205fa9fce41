"""The project's promises (`tests/promises/*.toml`) against the tests that keep them.

With `--promises`, as `make test` runs it, a promise is kept only if each test that it names was found, ran and passed.
Anything else (missing, deselected, skipped, expected to fail, failed) turns the session red. A table closes the run.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _pytest.terminal import TerminalReporter

PROMISES = Path(__file__).parents[1] / "promises"
_NAME = re.compile(r"[a-z]+(-[a-z]+)*")
RANK = {"kept": 0, "skipped": 1, "not run": 2, "deselected": 3, "failed": 4, "missing": 5}
"""States, from the best to the worst; a promise has the worst state of its tests."""


@dataclass(frozen=True)
class Promise:
    """One entry: `id` is its name, a few words with hyphens; `tests` name pytest nodes, files, or globs of them."""

    id: str
    text: str
    tests: tuple[str, ...]


@dataclass
class Result:
    """What became of one test: the worst of its phases, their seconds together, the sizes that it recorded."""

    state: str = "not run"
    seconds: float = 0.0
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What became of one promise; `state` is `kept` or the reason why it is not, `culprits` the tests at fault."""

    promise: Promise
    state: str
    tests: int
    seconds: float
    sizes: dict[str, int]
    culprits: tuple[str, ...]


def load(folder: Path = PROMISES) -> list[Promise]:
    """Read the promises of all areas.

    Raises:
        ValueError: there is none, an id stands twice or is no name, or an entry lacks its text.
    """
    entries = [
        entry
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["promise"]
    ]
    promises = [Promise(id=entry["id"], text=entry["text"], tests=tuple(entry["tests"])) for entry in entries]
    ids = [promise.id for promise in promises]
    wrong = {one for one in ids if ids.count(one) > 1 or not _NAME.fullmatch(one)}
    if wrong or not promises or not all(promise.text for promise in promises):
        raise ValueError(
            f"reading {folder.name}: no promise, or an empty text, or ids twice or no names: {sorted(wrong)}"
        )
    return promises


def matches(pattern: str, node: str) -> bool:
    """Whether `pattern` of a promise names the test `node`: itself, its parameters, its file or class, or a glob."""
    if "*" in pattern:
        return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), node) is not None
    return node == pattern or node.startswith((f"{pattern}[", f"{pattern}::"))


def judge(promise: Promise, results: dict[str, Result]) -> Verdict:
    """Hold one promise against the results of all tests."""
    worst = "kept" if promise.tests else "missing"
    found: dict[str, Result] = {}
    culprits = []
    for pattern in promise.tests:
        named = {node: result for node, result in results.items() if matches(pattern, node)}
        if not named:
            worst = "missing"
            culprits.append(f"{pattern}: missing")
        found |= named
    for node, result in found.items():
        if result.state != "kept":
            worst = max(worst, result.state, key=RANK.__getitem__)
            culprits.append(f"{node}: {result.state}")
    sizes = {name: size for result in found.values() for name, size in result.sizes.items()}
    seconds = sum(result.seconds for result in found.values())
    return Verdict(promise, worst, len(found), seconds, sizes, tuple(culprits))


def readable_size(size: int) -> str:
    """`size` in bytes as a person reads it, in powers of 1,000."""
    for unit, power in (("GB", 3), ("MB", 2), ("kB", 1)):
        if size >= 1000**power:
            return f"{size / 1000**power:.1f} {unit}"
    return f"{size} B"


def table(verdicts: Iterable[Verdict]) -> list[str]:
    """The lines of the closing table."""
    verdicts = list(verdicts)
    width = max([len("promise"), *(len(verdict.promise.id) for verdict in verdicts)])
    lines = [f"{'promise':<{width}} {'state':<11} {'tests':>5} {'seconds':>8}  what, and sizes used"]
    for verdict in verdicts:
        promise = verdict.promise
        lines.append(
            f"{promise.id:<{width}} {verdict.state:<11} {verdict.tests:>5} {verdict.seconds:>8.1f}  {promise.text}",
        )
        indent = " " * 4
        if verdict.sizes:
            lines.append(indent + ", ".join(f"{name} {readable_size(size)}" for name, size in verdict.sizes.items()))
        lines.extend(indent + culprit for culprit in verdict.culprits)
    return lines


class Ledger:
    """Collects what became of each test, and closes the session with the table."""

    def __init__(self, promises: list[Promise]) -> None:
        self.promises = promises
        self.results: dict[str, Result] = defaultdict(Result)
        self.verdicts: list[Verdict] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            self.results.setdefault(item.nodeid, Result())

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Where other processes run the tests, this one learns from them which there are."""
        for node in ids:
            self.results.setdefault(node, Result())

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        for item in items:
            self.results[item.nodeid].state = "deselected"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        result = self.results[report.nodeid]
        result.seconds += report.duration
        state = {"passed": "kept", "skipped": "skipped", "failed": "failed"}[report.outcome]
        if hasattr(report, "wasxfail"):
            state = "failed"
        if report.when == "setup":
            result.state = state if state != "kept" else "not run"
        elif report.when == "call" or state != "kept":
            result.state = state
        recorded = {name: size for name, size in report.user_properties if isinstance(size, int)}
        result.sizes |= {name[5:]: size for name, size in recorded.items() if name.startswith("size:")}

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.verdicts = [judge(promise, self.results) for promise in self.promises]
        if session.exitstatus == pytest.ExitCode.OK and self.broken():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def broken(self) -> list[Verdict]:
        """The promises that are not kept."""
        return [verdict for verdict in self.verdicts if verdict.state != "kept"]

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        terminalreporter.section("promises")
        for line in table(self.verdicts):
            terminalreporter.write_line(line)
        broken = self.broken()
        total = sum(result.seconds for result in self.results.values())
        terminalreporter.write_line(
            f"{len(self.verdicts) - len(broken)} of {len(self.verdicts)} promises kept, "
            f"{len(self.results)} tests, {total:.1f} seconds in tests",
            red=bool(broken),
            green=not broken,
        )
        if broken:  # names them in the closing line too, which would else be green
            terminalreporter.stats["promises broken"] = list(broken)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--promises", action="store_true", help="hold the run against tests/promises/")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--promises") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Ledger(load()), "promises-ledger")


@pytest.fixture
def record_size(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Call with a name and a number of bytes: shown with the promise that the test keeps."""

    def record(name: str, size: int) -> None:
        properties: list[tuple[str, Any]] = request.node.user_properties
        properties.append((f"size:{name}", size))

    return record
