"""Folders that a newcomer can take in at a glance, and names that stand for one module each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from support.tree import tracked_files

LARGEST = 16
LARGEST_OF_TESTS = 24
DATA = ("tests/vectors", "tests/fixtures", "tests/schemas", "tipbox/server/migrations")
"""These grow by one file a case, a version or a step, and are read one at a time."""
EVERYWHERE = {"__init__", "__main__"}


def crowded(paths: Iterable[str]) -> dict[str, int]:
    """Folders that hold too many sources, and how many."""
    folders = Counter(
        PurePosixPath(path).parent for path in paths if path.endswith((".py", ".ts")) and not path.startswith(DATA)
    )
    return {
        str(folder): count
        for folder, count in folders.items()
        if count > (LARGEST_OF_TESTS if {"tests", "test"} & set(folder.parts) else LARGEST)
    }


def twice(paths: Iterable[str]) -> set[str]:
    """Names that more than one module of the package bears."""
    modules = (PurePosixPath(path) for path in paths if path.startswith("tipbox/") and path.endswith(".py"))
    names = Counter(path.stem for path in modules if not str(path).startswith(DATA))
    return {name for name, count in names.items() if count > 1} - EVERYWHERE


def test_no_folder_is_crowded() -> None:
    assert len(tracked_files()) > 200
    assert crowded(tracked_files()) == {}


def test_no_name_stands_for_two_modules_of_the_package() -> None:
    assert twice(tracked_files()) == set()


def test_a_crowded_folder_is_found() -> None:
    many = [f"tipbox/desk/m{n}.py" for n in range(17)] + [f"client/test/net/m{n}.test.ts" for n in range(25)]
    assert crowded(many) == {"tipbox/desk": 17, "client/test/net": 25}
    assert crowded(many[:16] + many[17:41]) == {}
    assert crowded([f"tests/vectors/{n}.py" for n in range(99)]) == {}


def test_a_name_that_comes_twice_is_found() -> None:
    assert twice(["tipbox/desk/a.py", "tipbox/server/a.py", "tipbox/a/__init__.py", "tipbox/__init__.py"]) == {"a"}
    assert twice(["tipbox/desk/a.py", "tests/desk/a.py", "tipbox/server/migrations/env.py", "tipbox/env.py"]) == set()
