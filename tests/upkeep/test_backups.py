"""A folder of backups: how many stay, how old they get, and that the room of the tips is not theirs."""

from __future__ import annotations

import shutil
from collections import namedtuple
from datetime import date, timedelta
from pathlib import Path

import pytest

from support.sealed import Organisation, envelope
from support.server import Here
from support.world import tipbox
from tipbox.errors import Full, InputRefused
from tipbox.formats.base import days
from tipbox.formats.base.primitives import new_seed, xwing_public
from tipbox.server.backup.container import Reader
from tipbox.server.backup.create import read_onion
from tipbox.server.backup.examine import examine_backup
from tipbox.server.backup.operator_key import PublicKey, make
from tipbox.server.backup.rotation import backup_into
from tipbox.server.credentials import read_onion_credentials
from tipbox.server.upkeep.prune import prune_server

pytestmark = pytest.mark.reads_date

SEED = new_seed()
KEY = PublicKey(xwing_public(SEED))
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 (as shutil's)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "tipbox-notes.txt").write_text("the operator's own\n")
    (folder / "tipbox-2026-99-99.bak").write_text("no day\n")
    return folder


def days_of(folder: Path) -> list[int]:
    """How many days ago each backup was made."""
    assert (folder / "tipbox-notes.txt").exists()
    assert (folder / "tipbox-2026-99-99.bak").exists()
    named = sorted(folder.glob("tipbox-*-*-*.bak"))
    return [(days.today() - date.fromisoformat(path.stem[7:])).days for path in named if "99" not in path.name[7:]]


def old(folder: Path, ago: int, size: int = 1) -> None:
    """A backup of an earlier day."""
    (folder / f"tipbox-{days.today() - timedelta(days=ago)}.bak").write_bytes(bytes(size))


def test_the_newest_stay_and_each_opens(server: Here, folder: Path, organisations: list[Organisation]) -> None:
    server.upload(envelope(organisations, 1000))
    for ago in (3, 2, 1):
        old(folder, ago)

    made = backup_into(server.home, folder, KEY, keep=2)
    again = backup_into(server.home, folder, KEY, keep=2)

    assert (made.path, made.facts.envelopes) == (again.path, 1)
    assert days_of(folder) == [1, 0]
    with made.path.open("rb") as file:
        assert examine_backup(Reader(file, SEED), days.today()).envelopes == 1


def test_none_gets_older_than_tips_are_kept(server: Here, folder: Path) -> None:
    for ago in (200, 91, 90, 89):
        old(folder, ago)

    backup_into(server.home, folder, KEY, keep=7)

    assert days_of(folder) == [90, 89, 0]


def test_while_the_clock_is_held_nothing_expires(server: Here, folder: Path) -> None:
    old(folder, -300)
    old(folder, 91)
    prune_server(server.home, today=days.today() + timedelta(days=400))

    backup_into(server.home, folder, KEY, keep=7, today=days.today() + timedelta(days=400))

    assert len(days_of(folder)) == 3


def test_backups_leave_tips_half_of_the_free_disk(server: Here, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older ones go first; the newest stays, and says so when there is no room for another."""
    for ago in (3, 2, 1):
        old(folder, ago, 1_000_000)
    free = 1_000_000
    monkeypatch.setattr("tipbox.server.backup.rotation.shutil.disk_usage", lambda _: Usage(10_000_000, 0, free))

    backup_into(server.home, folder, KEY, keep=7)
    assert days_of(folder) == [1, 0]

    free = 100
    with pytest.raises(Full, match="beside the tips there is no room"):
        backup_into(server.home, folder, KEY, keep=7, today=days.today() + timedelta(days=1))
    assert days_of(folder) == [0]


def test_keys_come_from_where_systemd_hands_them_over(server: Here, folder: Path, tmp_path: Path) -> None:
    """The server's own file need not be readable, and tor's files get their names back."""
    onion, credentials = tmp_path / "tor", tmp_path / "credentials"
    credentials.mkdir()
    for name in ("sources/hostname", "sources/hs_ed25519_secret_key", "couriers/authorized_clients/a_b.auth"):
        (onion / name).parent.mkdir(parents=True, exist_ok=True)
        (onion / name).write_text(name)
        (credentials / f"onion_{name.replace('/', '_')}").write_text(name)
    with pytest.raises(InputRefused, match="LoadCredential"):
        read_onion_credentials(tmp_path)
    shutil.move(server.home / "server.key", credentials / "server.key")
    (server.home / "server.key").write_bytes(b"not to be read")
    make(tmp_path / "key", None)
    to = ("--to", tmp_path / "key.pub", "--keep", "7", "--credentials", credentials)

    told = tipbox("server", "backup", "--home", server.home, "--out", folder, *to, "--json").json

    assert read_onion_credentials(credentials) == read_onion(onion)
    assert told["file"] == str(folder / f"tipbox-{days.today()}.bak")
    assert told["onion_files"] == 3
