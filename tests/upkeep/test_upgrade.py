"""Databases of every schema, as real servers left them: brought to the present one, with all that they hold.

There is one schema so far. So that upgrades are proven before the first real one, each kept database is also brought to
a later schema that exists in these tests only (tests/schemas/later.py).
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select

from support.client import bearer
from support.kept import KEPT, later_program, unpack
from support.killed import killed_at
from support.sealed import Organisation
from support.world import tipbox
from tipbox.errors import Exit, InputRefused, TipboxError
from tipbox.formats.base.primitives import new_seed, sha256, xwing_public
from tipbox.formats.manifest import Manifest
from tipbox.server.backup.create import make_backup
from tipbox.server.backup.operator_key import PublicKey
from tipbox.server.backup.restore import restore_backup
from tipbox.server.bundles.export import write_volumes
from tipbox.server.config import load
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage import database
from tipbox.server.storage.database import HEAD, _alembic, make_engine, must_be_current
from tipbox.server.storage.models import Base, Reply, Slot
from tipbox.server.storage.models import Organisation as Known
from tipbox.server.storage.open_server import open_server
from tipbox.server.upkeep.check import check_server
from tipbox.server.web.app import create_app

pytestmark = pytest.mark.reads_date

SCHEMAS = sorted(path.parent for path in KEPT.glob("*/expected.json"))
BEFORE = KEPT / "before"
LARGEST = 200_000
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
    return put(kept.name, tmp_path / "home")


def put(kept: str, home: Path) -> Path:
    """A copy, with the modes that a server gives."""
    unpack(kept, home)
    Home(home).make()  # git keeps no empty folders
    for path in home.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return home


@pytest.fixture(name="to", params=["present", "later"])
def _to(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The schema that the program brings databases to: its own, or a later one, as the next release will."""
    to: str = request.param
    if to == "later":
        later_program(tmp_path / "migrations", monkeypatch)
    return to


def _as_before(patch: pytest.MonkeyPatch) -> None:
    """The program of before, which knows no later schema."""
    patch.setattr(database, "_alembic", _alembic)
    patch.setattr(database, "HEAD", HEAD)


@pytest.fixture(name="expected")
def _expected(kept: Path) -> Any:
    return json.loads((kept / "expected.json").read_bytes())


def test_the_program_names_the_head_of_its_migrations() -> None:
    """It is read from no file: Alembic, which reads those, is loaded only to migrate."""
    assert revisions()[-1] == HEAD, "name the newest revision in tipbox/server/storage/database.py"


@pytest.mark.parametrize("work", ["prepare_server(home, none)", "open_server(home)"])
def test_a_server_of_this_schema_loads_no_alembic(tmp_path: Path, work: str) -> None:
    """Neither to start again nor for a command: it would take half as long again."""
    (tmp_path / "none").mkdir()
    prepare_server(put("first", tmp_path / "home"), tmp_path / "none")
    code = (
        "import sys; from pathlib import Path; from tipbox.server.process.run import prepare_server; "
        "from tipbox.server.storage.open_server import open_server; home, none = map(Path, sys.argv[1:]); "
        f"{work}; print(*(name for name in sys.modules if name.startswith('alembic')))"
    )
    command = (sys.executable, "-c", code, tmp_path / "home", tmp_path / "none")
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == ""


def test_a_server_of_each_earlier_schema_is_kept() -> None:
    kept = {path.name for path in SCHEMAS}
    assert {revisions()[0], *revisions()[:-1]} <= kept <= set(revisions())
    for path in (*SCHEMAS, BEFORE):
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


def revision(home: Path) -> str | None:
    """Of a server's database."""
    engine = make_engine(Home(home), load(home))
    with engine.connect() as connection:
        found: str | None = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    return found


def test_every_row_is_there_afterwards(home: Path, to: str, day: date, tmp_path: Path) -> None:
    """With the same values in all columns that were there before."""
    before = dump(home)
    (tmp_path / "none").mkdir()

    prepare_server(home, tmp_path / "none", today=day)

    after = dump(home)
    assert revision(home) == ("later" if to == "later" else revisions()[-1])
    assert (len(after.get("later", [])), "later" in after) == (
        (len(before["envelope"]), True) if to == "later" else (0, False)
    )
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
def test_an_upgrade_that_is_killed_begins_again(home: Path, to: str, day: date, tmp_path: Path, call: str) -> None:
    """It is one transaction: the old schema with all rows, or the new one."""
    (tmp_path / "none").mkdir()
    before = {table: len(rows) for table, rows in dump(home).items()}
    for number in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233):
        if not killed_at(call, number, lambda: prepare_server(home, tmp_path / "none", today=day)):
            break
        found = dump(home)
        after = {table: len(rows) for table, rows in found.items()}
        assert after == after | before
        columns = {name for row in found["envelope"] for name, _ in row}
        assert ("later" in columns) == ("later" in found), "half of a schema"
    else:
        pytest.fail("the upgrade never came through")
    assert ("later" in dump(home)) == (to == "later")
    assert [finding for finding in check_server(home, today=day) if not finding.ok] == []


@pytest.mark.parametrize(("still", "found"), [(3, {"clock", "settled"}), (10, {"clock", "settled"}), (400, OF_AGE)])
@pytest.mark.usefixtures("to")
def test_one_that_stood_still_is_upgraded_whatever_age_has_brought(
    home: Path, day: date, tmp_path: Path, still: int, found: set[str]
) -> None:
    """As upgrade.sh judges it, also where the program before could not say what it found."""
    (tmp_path / "none").mkdir()
    later = day + timedelta(days=still)
    with pytest.MonkeyPatch.context() as earlier:
        _as_before(earlier)
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


def test_it_serves_what_it_held(home: Path, to: str, day: date, expected: Any, tmp_path: Path) -> None:
    """Exports hold the same bytes, acknowledgements count, the upload goes on, and a backup of it comes back."""
    (tmp_path / "none").mkdir()
    config = prepare_server(home, tmp_path / "none", today=day)
    assert revision(home) == ("later" if to == "later" else revisions()[-1])
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


@pytest.mark.parametrize("to", ["later"], indirect=True)
def test_a_program_that_was_put_back_does_not_touch_what_a_newer_one_made(
    home: Path, to: str, day: date, tmp_path: Path
) -> None:
    """A roll-back restores the folder with the program (upgrade.sh); without the folder, the program refuses."""
    del to
    (tmp_path / "none").mkdir()
    kept = tmp_path / "kept"
    shutil.copytree(home, kept)
    prepare_server(home, tmp_path / "none", today=day)
    newer = dump(home)

    with pytest.MonkeyPatch.context() as earlier:
        _as_before(earlier)
        with pytest.raises(InputRefused, match="newer version"):
            prepare_server(home, tmp_path / "none", today=day)
        assert dump(home) == newer
        if revision(kept) != revisions()[-1]:
            prepare_server(kept, tmp_path / "none", today=day)
        before = dump(kept)
        prepare_server(kept, tmp_path / "none", today=day)
        assert dump(kept) == before
        assert [finding for finding in check_server(kept, today=day) if not finding.ok] == []


# --- what was made before the formats of now --------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["0001", "0002", "0003", "0004"])
@pytest.mark.parametrize("command", ["status", "prune"])
def test_a_database_of_before_is_refused_in_one_sentence(tmp_path: Path, number: str, command: str) -> None:
    """The kept one is of the first of those schemas; the others differ in nothing that is looked at."""
    home = put(BEFORE.name, tmp_path / "home")
    with sqlite3.connect(home / "tipbox.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (number,))
    connection.close()
    before = dump(home)

    done = tipbox("server", command, "--home", home, expect=None)

    said = (done.out + done.err).strip()
    assert done.code == Exit.REFUSED, said
    assert "it was made by tipbox before its first release, and cannot be read any more" in said
    assert said.count("\n") == 0, said
    with pytest.raises(InputRefused, match="begin with an empty --home") as raised:
        prepare_server(home, home / "keys")
    assert "\n" not in str(raised.value)
    assert dump(home) == before


def test_a_backup_of_before_is_refused_in_one_sentence_and_nothing_is_made(tmp_path: Path) -> None:
    seed = bytes.fromhex(re.findall(r"`([0-9a-f]{64})`", (BEFORE / "README.md").read_text(encoding="utf-8"))[0])

    with pytest.raises(TipboxError) as raised:
        restore_backup(tmp_path / "new", seed, BEFORE / "backup")

    assert raised.value.exit_code == Exit.REFUSED
    assert "made before its first release cannot be read any more" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "new").exists()


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
