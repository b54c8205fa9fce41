"""Folders of servers as earlier releases left them (tests/schemas), ready to be used."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config as AlembicConfig

from support.tree import ROOT
from tipbox.server.storage import database

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


def later_program(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """From now on migrations of this process go to a schema after the present one, as those of the next release will.

    ``folder``: where the migrations of that release are put.
    """
    shutil.copytree(Path(database.__file__).parents[1] / "migrations", folder)
    shutil.copy(KEPT / "later.py", folder / "versions")
    made = database._alembic

    def with_later(*arguments: Any) -> AlembicConfig:
        config: AlembicConfig = made(*arguments)
        config.set_main_option("script_location", str(folder))
        return config

    patch.setattr(database, "_alembic", with_later)
    patch.setattr(database, "HEAD", "later")


def pack(home: Path, to: Path) -> None:
    """Keep a folder."""
    shutil.copytree(home, to)
    database = (to / PACKED).with_suffix("")
    (to / PACKED).write_bytes(gzip.compress(database.read_bytes(), mtime=0))
    database.unlink()
