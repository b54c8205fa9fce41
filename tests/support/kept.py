"""Folders of servers as earlier releases left them (tests/schemas), ready to be used."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

from support.tree import ROOT

KEPT = ROOT / "tests" / "schemas"
PACKED = "tipbox.db.gz"
"""A database is kept packed: half of it is room."""


def unpack(name: str, home: Path) -> Path:
    """A copy of the kept folder at ``home``, as git has it: without empty folders, with git's modes."""
    shutil.copytree(KEPT / name / "home", home)
    packed = home / PACKED
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    return home


def pack(home: Path, to: Path) -> None:
    """Keep a folder."""
    shutil.copytree(home, to)
    database = (to / PACKED).with_suffix("")
    (to / PACKED).write_bytes(gzip.compress(database.read_bytes(), mtime=0))
    database.unlink()
