"""A database that does not work: what the command that needs it says, and its exit code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from support.loopback import free_port
from support.sealed import Organisation
from tipbox.errors import Full, InputRefused
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.database_errors import explain

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


@pytest.mark.parametrize("damage", [b"no database" * 100, b"SQLite format 3\0" + bytes(84) + b"\xff" * 4000])
def test_a_damaged_file_is_reported_as_one(keys: Path, tmp_path: Path, damage: bytes) -> None:
    home = tmp_path / "home"
    prepare_server(home, keys)
    for path in home.glob("tipbox.db-*"):
        path.unlink()
    (home / "tipbox.db").write_bytes(damage)
    with pytest.raises(InputRefused, match="restore the backup"):
        prepare_server(home, keys)


@pytest.mark.parametrize("host", ["127.0.0.1", "%2Fnonexistent"])
def test_a_postgresql_that_does_not_answer_is_reported_as_one(keys: Path, tmp_path: Path, host: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    url = f"postgresql://someone:a-secret@{host}:{free_port()}/d1"
    (home / "tipbox.toml").write_text(f'[database]\nurl = "{url}"\n')
    with pytest.raises(InputRefused, match="PostgreSQL does not answer; check that it runs") as caught:
        prepare_server(home, keys)
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
