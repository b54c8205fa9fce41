"""Kept vaults: what this version wrote is read for ever; what was there before the first release is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from schemas.make_vault import PASSPHRASE
from support.commands import Run
from support.desk import TODAY
from support.killed import killed_at
from tipbox.desk import conversations, replies, tips
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.desk_errors import OtherVaultVersion
from tipbox.desk.inbox import listing
from tipbox.desk.keys import ceremony
from tipbox.desk.second_copy import copy_vault
from tipbox.desk.vault.sealed_file import MAGIC
from tipbox.desk.vault.vault import INCOMING, REPLIES, STORE_FILE, TIPS, VERSION, Vault
from tipbox.desk.whole import check
from tipbox.errors import Exit

VAULTS = Path(__file__).parents[1] / "schemas" / "vaults"
SINCE = sorted(path.parent for path in VAULTS.glob("*/expected.json"))


def copied(name: str, folder: Path) -> Path:
    """A kept vault to work on."""
    vault = folder / "vault"
    shutil.copytree(VAULTS / name / "vault", vault)
    (vault / INCOMING).mkdir(exist_ok=True)  # empty when it was kept, and so not in the repository
    return vault


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(PASSPHRASE)
    path.chmod(0o600)
    return path


def holds(shown: Any, expected: Any) -> None:
    """What is shown has all that was expected; later versions show more of it."""
    if isinstance(expected, dict):
        for name, value in expected.items():
            holds(shown[name], value)
    elif isinstance(expected, list):
        assert len(shown) == len(expected)
        for one, other in zip(shown, expected, strict=True):
            holds(one, other)
    else:
        assert shown == expected


def test_there_is_one_of_this_version() -> None:
    assert str(VERSION) in {kept.name for kept in SINCE}


@pytest.mark.parametrize("kept", SINCE, ids=lambda path: path.name)
def test_a_vault_of_every_version_since_the_first_shows_what_it_held(kept: Path, tmp_path: Path) -> None:
    expected = json.loads((kept / "expected.json").read_bytes())
    with Vault.open(copied(kept.name, tmp_path), PASSPHRASE, write=True) as vault:
        organisation = ceremony.organisation_of(vault)
        first = tips.find_tip(vault, expected["thread"]["messages"][0]["id"])
        holds(listing.list_tips(vault, organisation), expected["list"])
        holds(conversations.thread_of(vault, organisation, first), expected["thread"])
        assert ("upgrade" in {event.act for event in check_chain(vault).events}) is (kept.name != str(VERSION))
        tips.open_tip(vault, organisation, first, tmp_path / "out")
        made = replies.queue_reply(vault, first, b"Are you safe?", [], today=TODAY)
    assert (tmp_path / "out" / "message.txt").read_text(encoding="utf-8") == "Что я видел"
    assert made.thread == first.thread


@pytest.mark.parametrize("call", ["rename", "fsync", "unlink"])
@pytest.mark.parametrize("version", ["1", "2"])
def test_an_upgrade_killed_at_any_write_goes_on_at_the_next_command(tmp_path: Path, version: str, call: str) -> None:
    expected = json.loads((VAULTS / version / "expected.json").read_bytes())
    vault = copied(version, tmp_path)

    def upgrade() -> None:
        Vault.open(vault, PASSPHRASE).close()

    # The same vault each time, as on a machine that goes off again and again, a little later each time.
    killed = next(number for number in count(1) if not killed_at(call, number, upgrade))
    assert killed > 1
    with Vault.open(vault, PASSPHRASE, write=True) as opened:
        organisation = ceremony.organisation_of(opened)
        holds(listing.list_tips(opened, organisation), expected["list"])
        first = tips.find_tip(opened, expected["thread"]["messages"][0]["id"])
        holds(conversations.thread_of(opened, organisation, first), expected["thread"])
        assert check(opened).damaged == check(opened).replies == ()
        assert [event.act for event in check_chain(opened).events].count("upgrade") == 1
    files = [path for name in (TIPS, REPLIES) for path in (vault / name).iterdir()]
    assert len(files) == 4
    assert all(path.read_bytes().startswith(MAGIC) for path in files)
    assert list((vault / INCOMING).iterdir()) == []


def test_a_copy_of_a_vault_of_before_is_renewed_whole(tmp_path: Path) -> None:
    """Its files are as they travelled: the next copy seals them, and meanwhile they put back what the vault lost."""
    vault = copied("1", tmp_path)
    shutil.copytree(vault, tmp_path / "copy")
    with Vault.open(vault, PASSPHRASE, write=True) as opened:
        lost = next(iter((vault / TIPS).iterdir()))
        lost.unlink()
        done = copy_vault(opened, tmp_path / "copy", today=TODAY)
        assert (done.put_back, done.damaged) == (1, ())
        assert check(opened).damaged == ()
    kept = {path.name: path.read_bytes() for path in (tmp_path / "copy" / TIPS).iterdir()}
    assert kept == {path.name: path.read_bytes() for path in (vault / TIPS).iterdir()}
    assert all(data.startswith(MAGIC) for data in kept.values())


@pytest.mark.parametrize("command", ["list", "import", "outbox"])
def test_a_vault_of_before_is_refused_in_one_sentence(run: Run, secret: Path, tmp_path: Path, command: str) -> None:
    vault = copied("before", tmp_path)
    before = {path: path.read_bytes() for path in vault.rglob("*") if path.is_file()}
    more = {"list": (), "import": (secret,), "outbox": ("--out", tmp_path / "o.bundle")}[command]
    done = run("desk", command, "--vault", vault, "--passphrase-file", secret, *more)
    assert (done.code, done.out) == (Exit.REFUSED, "")
    assert done.err.count("\n") == 1
    assert "from before the first release" in done.err
    assert {path: path.read_bytes() for path in vault.rglob("*") if path.is_file()} == before


def test_a_vault_of_a_newer_version_asks_for_an_upgrade(tmp_path: Path) -> None:
    vault = copied(str(VERSION), tmp_path)
    with closing(sqlite3.connect(vault / STORE_FILE)) as store:
        store.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(OtherVaultVersion, match="newer version"):
        Vault.open(vault, PASSPHRASE)


def test_a_file_that_the_disk_does_not_give_keeps_no_vault_shut(tmp_path: Path) -> None:
    """It stays as it lies, and a copy takes it when the disk gives it again."""
    vault = copied("1", tmp_path)
    bad = min((vault / TIPS).iterdir())
    data = bad.read_bytes()
    bad.unlink()
    bad.symlink_to("/proc/self/mem")  # whose first bytes give EIO
    with Vault.open(vault, PASSPHRASE, write=True) as opened:
        assert len(check(opened).damaged) == 1
        good = [path for name in (TIPS, REPLIES) for path in (vault / name).iterdir() if path != bad]
        assert all(path.read_bytes().startswith(MAGIC) for path in good)
    bad.unlink()
    bad.write_bytes(data)
    with Vault.open(vault, PASSPHRASE, write=True) as opened:
        assert len(check(opened).damaged) == 1
        assert copy_vault(opened, tmp_path / "copy", today=TODAY).put_back == 1
        assert check(opened).damaged == ()
    assert bad.read_bytes().startswith(MAGIC)
