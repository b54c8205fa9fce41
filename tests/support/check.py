"""`pytest --check`, which `make check` runs: the tests that start no process and derive no vault key.

It runs all tests but those that tests/apart.txt names. One that starts a process or derives a vault's key anyway
fails, with or without `--check`, with this reason: the list stays true by itself.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

APART: Final = Path(__file__).parents[1] / "apart.txt"
PROCESS: Final = frozenset({"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"})
"""The events of Python's audit hooks that mean a new process."""


class AuditError(BaseException):
    """No `except Exception` of the code under test takes it for one of its own errors."""


def load(path: Path = APART) -> list[str]:
    """The files and tests of the list, with `*` as in promises.toml.

    Raises:
        ValueError: an entry gives no reason.
    """
    names = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, reason = line.partition("#")
        if name.strip() and not reason.strip():
            raise ValueError(f"{path.name}: {name.strip()} has no reason")
        names += [name.strip()] if name.strip() else []
    return names


class Watch:
    """Fails a test that the list does not name and that starts a process or derives a vault's key."""

    def __init__(self) -> None:
        self._names = load()
        self._running = ""
        self._done = ""
        sys.addaudithook(self._audit)

    def _audit(self, event: str, _: tuple[Any, ...]) -> None:
        if event in PROCESS:
            self._refuse(f"starts a process ({event})")

    def _refuse(self, what: str) -> None:
        # Other threads are those of what a test before it left running.
        if self._running and threading.current_thread() is threading.main_thread():
            self._done = what
            raise AuditError(f"{self._running} {what}: name it in tests/{APART.name}, or do without")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Watch the test, its fixtures included, and fail it even where it swallowed the refusal."""
        from support.promises import matches  # only now: pytest loads the plugins in any order

        apart = any(matches(name, item.nodeid) for name in self._names)
        self._running, self._done = "" if apart else item.nodeid, ""
        try:
            return (yield)
        finally:
            self._running = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, nextitem: pytest.Item | None) -> None:
        """Behind the last test of a process those fixtures end that are of many."""
        if nextitem is None:
            self._running = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """A refusal that the code under test swallowed fails its test anyway."""
        yield
        if self._done:
            raise AssertionError(f"{self._running} {self._done}: name it in tests/{APART.name}, or do without")

    def pytest_configure(self) -> None:
        """Deriving a vault's key takes seconds: refused as a process is."""
        from tipbox.formats import locked_file

        key = locked_file._key  # the only place where one is made

        def watched(*arguments: Any) -> bytes:
            self._refuse("derives a vault's key")
            return key(*arguments)

        setattr(locked_file, "_key", watched)  # noqa: B010 (mypy knows another signature)


class Selection:
    """Leaves out what the list names; registered with `--check` only."""

    def pytest_ignore_collect(self, collection_path: Path, config: pytest.Config) -> bool | None:
        """Do not even import what the list names as a whole, with its conftest: drivers of browsers take seconds."""
        from support.promises import matches  # only now: pytest loads the plugins in any order

        if config.rootpath not in collection_path.parents:
            return None
        path = collection_path.relative_to(config.rootpath).as_posix() + ("/" if collection_path.is_dir() else "")
        return True if any("::" not in name and matches(name, path) for name in load()) else None

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what the list names."""
        from support.promises import matches  # only now: pytest loads the plugins in any order

        names = load()
        apart = [item for item in items if any(matches(name, item.nodeid) for name in names)]
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in set(apart)]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--check`."""
    parser.addoption("--check", action="store_true", help="only what starts no process and derives no vault key")


def pytest_configure(config: pytest.Config) -> None:
    """Register both, the selection where it is asked for."""
    config.pluginmanager.register(Watch(), "watch")
    if config.getoption("check"):
        config.pluginmanager.register(Selection(), "selection")
