"""Kept vaults: what this version wrote is read for ever; what was there before the first release is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from schemas.make_vault import PASSPHRASE
from support.commands import Run
from support.desk import TODAY
from tipbox.desk import conversations, replies, tips
from tipbox.desk.desk_errors import OtherVaultVersion
from tipbox.desk.keys import ceremony
from tipbox.desk.vault.vault import INCOMING, STORE_FILE, VERSION, Vault
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


def test_there_is_one_of_this_version() -> None:
    assert str(VERSION) in {kept.name for kept in SINCE}


@pytest.mark.parametrize("kept", SINCE, ids=lambda path: path.name)
def test_a_vault_of_every_version_since_the_first_shows_what_it_held(kept: Path, tmp_path: Path) -> None:
    expected = json.loads((kept / "expected.json").read_bytes())
    with Vault.open(copied(kept.name, tmp_path), PASSPHRASE, write=True) as vault:
        organisation = ceremony.organisation_of(vault)
        first = tips.find_tip(vault, expected["thread"]["messages"][0]["id"])
        assert tips.list_tips(vault, organisation) == expected["list"]
        assert conversations.thread_of(vault, organisation, first) == expected["thread"]
        tips.open_tip(vault, organisation, first, tmp_path / "out")
        made = replies.queue_reply(vault, first, b"Are you safe?", [], today=TODAY)
    assert (tmp_path / "out" / "message.txt").read_text(encoding="utf-8") == "Что я видел"
    assert made.thread == first.thread


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
