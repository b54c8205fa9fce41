"""Databases of every earlier schema, as real servers left them: brought to the present one, with all that they hold."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import select

from support.client import bearer
from support.killed import killed_at
from support.sealed import Organisation
from tipbox.formats.base.primitives import new_seed, sha256, xwing_public
from tipbox.formats.manifest import Manifest
from tipbox.server.backup.create import make_backup
from tipbox.server.backup.operator_key import PublicKey
from tipbox.server.backup.restore import restore_backup
from tipbox.server.bundles.export import write_volumes
from tipbox.server.config import load
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.database import _alembic, make_engine, must_be_current
from tipbox.server.storage.models import Base, Reply, Slot
from tipbox.server.storage.models import Organisation as Known
from tipbox.server.storage.open_server import open_server
from tipbox.server.upkeep.check import check_server
from tipbox.server.web.app import create_app

pytestmark = pytest.mark.reads_date

SCHEMAS = sorted(path.parent for path in (Path(__file__).parents[1] / "schemas").glob("*/expected.json"))
LARGEST = 350_000
FINDINGS = Path(__file__).parents[2] / "deploy" / "findings.py"
OF_AGE = {"clock", "settled", "manifests"}


def revisions() -> list[str]:
    """From the first to the head."""
    return [script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()][::-1]


@pytest.fixture(name="kept", params=SCHEMAS, ids=lambda path: path.name)
def _kept(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture(name="home")
def _home(kept: Path, tmp_path: Path) -> Path:
    """A copy, with the modes that a server gives."""
    home = tmp_path / "home"
    shutil.copytree(kept / "home", home)
    Home(home).make()  # git keeps no empty folders
    for path in home.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return home


@pytest.fixture(name="expected")
def _expected(kept: Path) -> Any:
    return json.loads((kept / "expected.json").read_bytes())


def test_a_server_of_each_earlier_schema_is_kept() -> None:
    kept = {path.name for path in SCHEMAS}
    assert set(revisions()[:-1]) <= kept <= set(revisions())
    for path in SCHEMAS:
        assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < LARGEST


@pytest.fixture(name="day")
def _day(expected: Any) -> date:
    """On which it was made: what age brings is not what an upgrade does."""
    return date.fromisoformat(expected["day"])


def dump(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, by the columns that a table has."""
    connection = sqlite3.connect(home / "tipbox.db")
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {table: _rows(connection, table) for table in tables if table != "alembic_version"}
    connection.close()
    return found


def _rows(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    cursor = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 (its name is the database's own)
    names = [column[0] for column in cursor.description]
    return sorted((tuple(sorted(zip(names, row, strict=True))) for row in cursor), key=repr)


def test_every_row_is_there_afterwards(home: Path, day: date, tmp_path: Path) -> None:
    """With the same values in all columns that were there before."""
    before = dump(home)
    (tmp_path / "none").mkdir()

    prepare_server(home, tmp_path / "none", today=day)

    after = dump(home)
    assert set(before) <= set(after)
    for table, rows in before.items():
        names = {name for row in rows for name, _ in row}
        shortened = [tuple(pair for pair in row if pair[0] in names) for row in after[table]]
        assert sorted(shortened, key=repr) == rows
    engine = make_engine(Home(home), load(home))
    must_be_current(engine)
    with engine.connect() as connection:
        for one in Base.metadata.sorted_tables:
            connection.execute(select(one)).all()
    engine.dispose()


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "ftruncate"])
def test_an_upgrade_that_is_killed_begins_again(home: Path, day: date, tmp_path: Path, call: str) -> None:
    """It is one transaction: the old schema with all rows, or the new one."""
    (tmp_path / "none").mkdir()
    before = {table: len(rows) for table, rows in dump(home).items()}
    for number in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233):
        if not killed_at(call, number, lambda: prepare_server(home, tmp_path / "none", today=day)):
            break
        after = {table: len(rows) for table, rows in dump(home).items()}
        assert after == after | before
    else:
        pytest.fail("the upgrade never came through")
    assert [finding for finding in check_server(home, today=day) if not finding.ok] == []


@pytest.mark.parametrize(("still", "found"), [(3, {"clock", "settled"}), (10, {"clock", "settled"}), (400, OF_AGE)])
def test_one_that_stood_still_is_upgraded_whatever_age_has_brought(
    home: Path, day: date, tmp_path: Path, still: int, found: set[str]
) -> None:
    """As upgrade.sh judges it, also where the program before could not say what it found."""
    (tmp_path / "none").mkdir()
    later = day + timedelta(days=still)
    before = [finding.to_json() for finding in check_server(home, today=later)]

    prepare_server(home, tmp_path / "none", today=later)

    after = check_server(home, today=later)
    assert {finding.check for finding in after if not finding.ok} == found
    printed = json.dumps([finding.to_json() for finding in after])
    for text in (json.dumps(before), ""):
        (tmp_path / "found").write_text(text)
        command = (sys.executable, FINDINGS, tmp_path / "found")
        judged = subprocess.run(command, input=printed, capture_output=True, text=True, check=False)
        assert (judged.returncode, judged.stderr) == (0, ""), judged.stdout
        assert all(f": {name}: " in judged.stdout for name in found)


def test_it_serves_what_it_held(home: Path, day: date, expected: Any, tmp_path: Path) -> None:
    """Exports hold the same bytes, acknowledgements count, the upload goes on, and a backup of it comes back."""
    (tmp_path / "none").mkdir()
    config = prepare_server(home, tmp_path / "none", today=day)
    kept = set(expected["envelopes"].values())

    assert [finding for finding in check_server(home, today=day) if not finding.ok] == []
    assert exported(home, expected, day, tmp_path / "out") == kept
    with open_server(home) as server:
        marked = server.store.read(
            lambda connection: connection.execute(
                select(Slot.envelope, Known.name).join(Known).where(Slot.acknowledged.is_(True))
            ).all()
        )
        replies = server.store.read(lambda connection: connection.execute(select(Reply.id)).scalars().all())
    assert [(row[0].hex(), row[1]) for row in marked] == [(expected["acknowledged"][0], expected["acknowledged_by"])]
    assert [reply.hex() for reply in replies] == expected["replies"]
    client = create_app(Home(home), config).test_client()
    state = client.get("/api/envelope", headers=bearer(expected["draft"]["token"]))
    assert state.get_json() == {"state": "open", "missing": expected["draft"]["missing"]}

    seed = new_seed()
    make_backup(home, tmp_path / "backup", PublicKey(xwing_public(seed)), today=day)
    restored = restore_backup(tmp_path / "new", seed, tmp_path / "backup", today=day)
    assert (restored.envelopes, restored.damaged) == (len(kept), 0)
    assert exported(tmp_path / "new", expected, day, tmp_path / "again") == exported(
        home, expected, day, tmp_path / "out again"
    )


def exported(home: Path, expected: Any, day: date, out: Path) -> set[str]:
    """SHA-256 of each Envelope that goes to one of the organisations."""
    found = set()
    for name, seed in expected["organisations"].items():
        listed = next(path for path in (home / "keys").iterdir() if path.name == f"{name}.json")
        reader = Reader(name, bytes.fromhex(seed), listed)
        for path in write_volumes(home, name, out, today=day):
            bundle = reader.read(path)
            for item in bundle.items:
                data = b"".join(bundle.read(item))
                if item.entry.kind == "envelope":
                    found.add(sha256(data).hex())
                else:
                    assert sha256(data) == item.entry.hash
    return found


class Reader(Organisation):
    """An organisation of which only the receiving key was kept."""

    def __init__(self, name: str, seed: bytes, manifest: Path) -> None:
        super().__init__(name, seed=seed)
        self._id = Manifest.parse(manifest.read_bytes()).id

    @property
    def id(self) -> bytes:
        return self._id
