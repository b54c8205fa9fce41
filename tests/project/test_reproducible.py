"""The packages are the same bytes, whoever builds them, where and when: RELEASING.md lets strangers compare."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from support.clock import DAY, later
from support.tree import ROOT, copy_tree, tracked_files

BACKWARDS = """
import os

_scandir, _listdir = os.scandir, os.listdir


class _Backwards:
    def __init__(self, path):
        with _scandir(path) as entries:
            self._entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def close(self):
        return None


os.scandir = lambda path=".": _Backwards(path)
os.listdir = lambda path=".": sorted(_listdir(path), reverse=True)
"""
"""A module `sitecustomize`, with which Python is told the files of a folder from the last to the first."""


@dataclass(frozen=True)
class Builder:
    """Who builds: the folder, and what differs from one machine to another."""

    folder: str
    umask: int
    environment: dict[str, str]
    site: str = field(default="", repr=False)

    def build(self, at: Path) -> dict[str, bytes]:
        """Sdist, and the wheel from it, by name."""
        tree = copy_tree(at / self.folder)
        # What npm brings is pinned by hash, and its servers' certificates are not valid in every year.
        shutil.copytree(ROOT / "client" / "node_modules", tree / "client" / "node_modules", symlinks=True)
        for path in tracked_files():
            (tree / path).chmod((0o777 if os.access(ROOT / path, os.X_OK) else 0o666) & ~self.umask)
        (at / "site").mkdir()
        (at / "site" / "sitecustomize.py").write_text(self.site, encoding="utf-8")
        kept = {key: value for key, value in os.environ.items() if key not in {"LANG", "SOURCE_DATE_EPOCH", "TZ"}}
        done = subprocess.run(
            (sys.executable, "-m", "build", "--no-isolation", "--outdir", at / "out"),
            cwd=tree,
            env=kept | self.environment | {"PYTHONPATH": str(at / "site")},
            umask=self.umask,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return {made.name: made.read_bytes() for made in (at / "out").iterdir()}


BUILDERS = (
    Builder("tipbox", 0o022, {"LC_ALL": "C", "TZ": "UTC"}),
    Builder(
        "somewhere/else entirely",
        0o077,
        {"LC_ALL": "C.UTF-8", "TZ": "Asia/Almaty", "HOME": "/nonexistent", "USER": "nobody"} | later(400 * DAY),
        BACKWARDS,
    ),
)


def test_two_builders_make_the_same_bytes(tmp_path: Path) -> None:
    """Another folder, umask, locale, time zone, time, user and order of files, and nothing of it in the packages."""
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(Builder.build, BUILDERS, (tmp_path / "first", tmp_path / "second"))

    assert {Path(name).suffix for name in first} == {".gz", ".whl"}
    assert {name: sha256(data).hexdigest() for name, data in first.items()} == {
        name: sha256(data).hexdigest() for name, data in second.items()
    }
