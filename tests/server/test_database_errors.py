"""A database that does not work: what the command that needs it says, and its exit code."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from support.loopback import free_port
from support.sealed import Organisation
from support.services import new_database
from tipbox.errors import Full, InputRefused, Usage
from tipbox.formats.base import days
from tipbox.server.bundles.export import write_volumes, write_volumes_of
from tipbox.server.config import Config, Database
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.database import make_engine, must_be_current
from tipbox.server.storage.database_errors import explain
from tipbox.server.storage.open_server import open_server
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.seized import report_seized
from tipbox.server.upkeep.settle import settle_server
from tipbox.server.upkeep.status import server_status

pytestmark = pytest.mark.reads_date


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "kibhr.json").write_bytes(Organisation("kibhr").manifest().encode())
    return folder


def test_a_full_disk_at_the_first_start_is_reported_as_one(keys: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", home], check=True)
    try:
        with pytest.raises(Full, match="disk is full"):
            prepare_server(home, keys)
    finally:
        subprocess.run(["umount", home], check=True)


def export_while_the_disk_fills(home: Path, out: Path) -> None:
    with open_server(home) as server:
        server.store.read(lambda connection: connection.execute(text("SELECT id FROM ledger")).one())
        with suppress(OSError), (home / "filling").open("wb", buffering=0) as filling:
            while True:
                filling.write(bytes(4096))
        write_volumes_of(server, "kibhr", out, days.today())


def test_a_full_disk_is_reported_as_the_database_s_own(keys: Path, tmp_path: Path) -> None:
    """Bundles go to another disk: without a word on which of them is full, the operator makes room on the wrong one."""
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", home], check=True)
    try:
        prepare_server(home, keys)
        with pytest.raises(Full, match=r"^using the database: the disk is full; make room and run this again$"):
            export_while_the_disk_fills(home, tmp_path / "out")
    finally:
        subprocess.run(["umount", home], check=True)


@pytest.mark.parametrize("damage", [b"no database" * 100, b"SQLite format 3\0" + bytes(84) + b"\xff" * 4000])
def test_a_damaged_file_is_reported_as_one(keys: Path, tmp_path: Path, damage: bytes) -> None:
    home = tmp_path / "home"
    prepare_server(home, keys)
    for path in home.glob("tipbox.db-*"):
        path.unlink()
    (home / "tipbox.db").write_bytes(damage)
    with pytest.raises(InputRefused, match="restore the backup"):
        prepare_server(home, keys)


def damaged_in_the_middle(keys: Path, home: Path) -> Path:
    """A server whose first pages of the database are whole: it is opened, and fails when it is used."""
    prepare_server(home, keys)
    file = home / "tipbox.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # Nothing of the schema, so that it opens: the tables that every command reads.
        names = ("'ledger'", "'organisation'", "'envelope'", "'draft'", "'inward'")
        roots = database.execute(f"SELECT rootpage FROM sqlite_schema WHERE tbl_name IN ({', '.join(names)})")  # noqa: S608
        pages = [page for (page,) in roots if page]
        (size,) = database.execute("PRAGMA page_size").fetchone()
    data = bytearray(file.read_bytes())
    for page in pages:
        data[(page - 1) * size : page * size] = b"\x55" * size
    file.write_bytes(data)
    return home


@pytest.mark.parametrize(
    "use",
    [
        prepare_server,
        lambda home, _: server_status(home),
        lambda home, _: prune_server(home),
        lambda home, _: settle_server(home),
        lambda home, _: report_seized(home),
        lambda home, keys: write_volumes(home, "kibhr", keys.parent / "out"),
    ],
    ids=["run", "status", "prune", "settle", "seized", "export"],
)
def test_damage_that_is_found_while_it_is_used_is_reported_as_such(
    keys: Path, tmp_path: Path, use: Callable[[Path, Path], object]
) -> None:
    """No bug of the program: at three in the morning nobody must be asked to report one."""
    home = damaged_in_the_middle(keys, tmp_path / "home")
    with pytest.raises(InputRefused, match="the database is damaged; restore the backup"):
        use(home, keys)


def test_the_check_of_a_damaged_database_says_what_to_do_in_each_finding(keys: Path, tmp_path: Path) -> None:
    home = damaged_in_the_middle(keys, tmp_path / "home")
    findings = {finding.check: finding for finding in check_server(home) if not finding.ok}
    assert {"database", "ledger", "clock", "room"} <= findings.keys()
    for finding in findings.values():
        assert "the database is damaged" in finding.message
        assert "restore the backup" in finding.message + finding.remedy


def test_the_check_names_a_manifest_that_is_damaged(keys: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare_server(home, keys)
    with open_server(home) as server:
        server.store.write(
            lambda connection: connection.execute(text("UPDATE manifest SET data = substr(data, 1, length(data) - 50)"))
        )
    findings = {finding.check: finding for finding in check_server(home) if not finding.ok}
    assert set(findings) == {"manifests", "notices", "twice"}
    for finding in findings.values():
        assert "the key manifest of kibhr in the database: this is not JSON; restore the backup" in finding.message


def test_an_error_that_is_the_program_s_stays_a_bug(keys: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare_server(home, keys)
    with pytest.raises(IntegrityError), open_server(home) as server:
        server.store.write(lambda connection: connection.execute(text("INSERT INTO organisation DEFAULT VALUES")))
    with pytest.raises(OperationalError), open_server(home) as server:
        server.store.read(lambda connection: connection.execute(text("SELECT nothing FROM organisation")))


@pytest.mark.parametrize("host", ["127.0.0.1", "%2Fnonexistent"])
def test_a_postgresql_that_does_not_answer_is_reported_as_one(keys: Path, tmp_path: Path, host: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    url = f"postgresql://someone:a-secret@{host}:{free_port()}/d1"
    (home / "tipbox.toml").write_text(f'[database]\nurl = "{url}"\n')
    with pytest.raises(InputRefused, match="PostgreSQL does not answer; check that it runs") as caught:
        prepare_server(home, keys)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("rest", ["some@secret@127.0.0.1:5432/d1", "somesecret@127.0.0.1:port/d1"])
def test_a_password_that_is_not_written_as_a_url_has_it_is_no_bug(rest: str, tmp_path: Path) -> None:
    config = Config(database=Database(url=SecretStr(f"postgresql://someone:{rest}")))
    with pytest.raises(Usage, match=r"in its password write @ as %40 and % as %25") as caught:
        make_engine(Home(tmp_path), config)
    assert "secret" not in str(caught.value)


def test_an_option_that_postgresql_s_library_does_not_know_is_not_taken_for_silence(tmp_path: Path) -> None:
    """An operator would look for a server that runs well."""
    url = f"postgresql://someone:a-secret@127.0.0.1:{free_port()}/d1?sslmod=verify-full"
    with pytest.raises(InputRefused, match=r"does not know an option in database\.url") as caught:
        must_be_current(make_engine(Home(tmp_path), Config(database=Database(url=SecretStr(url)))))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (psycopg.errors.InvalidPassword(), "check user and password"),
        (psycopg.errors.InvalidCatalogName(), "createdb"),
        (psycopg.errors.InsufficientPrivilege(), "OWNER TO"),
        (psycopg.errors.UniqueViolation(), "another process makes the tables at the same time; start again"),
        (psycopg.errors.DuplicateTable(), "another process makes the tables at the same time; start again"),
        (psycopg.errors.SyntaxError(), "42601"),
        (psycopg.OperationalError("connection failed: FATAL:  role x does not exist"), "check user, password and name"),
    ],
)
def test_each_error_of_postgresql_says_what_to_do(error: Exception, what: str) -> None:
    explained = explain("migrating the database", OperationalError("", {}, error))
    assert isinstance(explained, InputRefused)
    assert what in str(explained)
    assert "role x" not in str(explained)


def test_a_full_disk_of_postgresql_is_full() -> None:
    assert isinstance(explain("x", OperationalError("", {}, psycopg.errors.DiskFull())), Full)


@pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another")
def test_a_postgresql_without_a_connection_to_spare_is_told_as_that(
    postgresql: str, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as one that refuses the user, whose password somebody would then change."""
    url = new_database(postgresql)
    monkeypatch.setenv("TIPBOX_DATABASE_URL", url)
    prepare_server(tmp_path / "home", keys)
    name = urlsplit(url).path.strip("/")
    with psycopg.connect(host=postgresql, user="tipbox", dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE ROLE few{name} LOGIN CONNECTION LIMIT 0".encode())
        admin.execute(f"GRANT ALL ON DATABASE {name} TO few{name}".encode())
    monkeypatch.setenv("TIPBOX_DATABASE_URL", url.replace("tipbox@", f"few{name}@"))

    (finding,) = check_server(tmp_path / "home")
    assert "PostgreSQL has no connection to spare; raise its max_connections" in finding.message


def test_a_table_that_somebody_removed_is_missed(keys: Path, tmp_path: Path) -> None:
    """Its revision says that all is there, and what needs the table fails one by one."""
    prepare_server(tmp_path / "home", keys)
    with closing(sqlite3.connect(tmp_path / "home" / "tipbox.db")) as database:
        database.execute("DROP TABLE gone")
    (finding,) = [finding for finding in check_server(tmp_path / "home") if not finding.ok]
    assert finding.check == "database"
    assert "tables are missing, and somebody removed them: gone" in finding.message
