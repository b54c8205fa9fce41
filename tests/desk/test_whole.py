"""What a desk acknowledges is whole on its disk: damage is found, put back from a Bundle or a file, and told."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from support.commands import Run
from support.desk import PASSWORD, TODAY, Desk, Desks, Envelope, Exporter, acknowledged, opened, seal_tip, stored
from tipbox.desk import replies, tips
from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.keys import ceremony
from tipbox.desk.outbox import write_outbox
from tipbox.desk.second_copy import copy_vault
from tipbox.desk.vault.vault import INCOMING, STORE_FILE
from tipbox.desk.whole import holds_whole
from tipbox.files.durable import write_file
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base.primitives import random_bytes

pytestmark = pytest.mark.reads_date

CONTENT = random_bytes(150_000)


def flip(at: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int((len(data) - 1) * at)] ^= 1
        path.write_bytes(data)

    return damage


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def add(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "emptied": lambda path: os.truncate(path, 0),
    "cut": cut,
    "longer": add,
    "header": flip(0.0),
    "letter": flip(0.3),
    "body": flip(0.7),
    "trailer": flip(1.0),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.fixture
def tip(desks: Desks) -> Envelope:
    return seal_tip(desks.manifests, files=[("a", CONTENT)])


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    write_file(path, PASSWORD)
    return path


def place(desk: Desk, tip: Envelope) -> Path:
    with desk.open() as vault:
        return vault.tip_path(tip.id)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_not_acknowledged_and_put_back(
    desk: Desk, server: Exporter, tip: Envelope, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    whole = seal_tip([desk.manifest])
    bundle = server.export(tmp_path / "1", desk.manifest, [tip, whole])
    desk.take(bundle, copies=False)
    damage(place(desk, tip))
    other = server.export(tmp_path / "2", desk.manifest, [])
    outcome = desk.take(other)
    assert outcome.damaged == [tip.id]
    assert acknowledged(server, desk, tmp_path / "o1") == [whole.id]
    again = desk.take(bundle)
    assert (again.put_back, again.damaged, again.problems, again.counts) == (1, [], [], {"known": 2})
    assert (opened(desk, tip.id, tmp_path / "out") / "files" / "001-a").read_bytes() == CONTENT
    assert acknowledged(server, desk, tmp_path / "o2") == sorted((tip.id, whole.id))
    assert list((desk.vault / INCOMING).iterdir()) == []


@pytest.mark.parametrize("damage", ["removed", "body", "cut"])
def test_damage_between_import_and_outbox_is_not_acknowledged(
    desk: Desk, server: Exporter, tip: Envelope, tmp_path: Path, damage: str
) -> None:
    bundle = server.export(tmp_path / "1", desk.manifest, [tip])
    desk.take(bundle)
    DAMAGE[damage](place(desk, tip))
    assert acknowledged(server, desk, tmp_path / "o1") == []
    assert desk.take(bundle).put_back == 1
    assert acknowledged(server, desk, tmp_path / "o2") == [tip.id]


def test_a_damaged_record_is_not_laid_on_the_stick(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    secrets = AccessCode.generate().secrets()
    one, two = (seal_tip(desks.manifests, secrets=secrets) for _ in range(2))
    desk.take(server.export(tmp_path / "1", desk.manifest, [one]))
    with closing(sqlite3.connect(desk.vault / STORE_FILE)) as store:
        store.execute("UPDATE record SET value = zeroblob(length(value)) WHERE kind = 'thread'")
        store.commit()
    outcome = desk.take(server.export(tmp_path / "2", desk.manifest, [two]))
    assert [(name, type(error)) for name, error in outcome.problems] == [("2", VaultDamaged)]


@pytest.mark.parametrize("damage", ["removed", "letter", "longer"])
def test_a_tip_file_puts_back_too(desk: Desk, tip: Envelope, tmp_path: Path, damage: str) -> None:
    (tmp_path / "x.tip").write_bytes(tip.data)
    desk.take(tmp_path / "x.tip")
    DAMAGE[damage](place(desk, tip))
    assert desk.take(tmp_path / "x.tip").put_back == 1
    assert stored(desk, place(desk, tip)) == tip.data


def test_a_damaged_bundle_puts_back_nothing_and_says_so(
    desk: Desk, server: Exporter, tip: Envelope, tmp_path: Path
) -> None:
    bundle = server.export(tmp_path / "1", desk.manifest, [tip])
    desk.take(bundle)
    place(desk, tip).unlink()
    flip(0.08)(bundle)  # within the tip: what is behind it is padding
    outcome = desk.take(bundle)
    assert (outcome.put_back, [error.code for _, error in outcome.problems]) == (0, ["damaged-item"])
    assert not place(desk, tip).exists()


def test_check_reads_everything(
    run: Run, secret: Path, desk: Desk, server: Exporter, *, tip: Envelope, tmp_path: Path
) -> None:
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    with desk.open(write=True) as vault:
        made = replies.queue_reply(vault, tips.find_tip(vault, tip.id.hex()), b"one", [], today=TODAY)
        sealed = vault.reply_path(made.id)
    options = ("desk", "check", "--vault", desk.vault, "--passphrase-file", secret)
    found = run(*options, "--json")
    assert (found.code, found.json["tips"], found.json["damaged"], found.json["replies"]) == (0, 1, [], [])
    flip(0.5)(place(desk, tip))
    flip(0.5)(sealed)
    found = run(*options, "--json")
    assert (found.code, found.error) == (3, "vault-damaged")
    assert (found.json["damaged"], found.json["replies"]) == ([tip.id.hex()], [made.id.hex()])
    with (desk.vault / "vault.db").open("r+b") as file:
        file.seek(-3000, os.SEEK_END)
        old = file.read(3000)
        file.seek(-3000, os.SEEK_END)
        file.write(bytes(byte ^ 1 for byte in old))
    assert run(*options, "--json").error == "vault-damaged"


def test_what_was_damaged_after_it_was_acknowledged_is_not_acknowledged_again(
    desk: Desk, server: Exporter, tip: Envelope, tmp_path: Path
) -> None:
    """The outbox that acknowledged it may never have arrived: the server has it then, and brings it back."""
    bundle = server.export(tmp_path / "1", desk.manifest, [tip])
    desk.take(bundle)
    assert acknowledged(server, desk, tmp_path / "o1") == [tip.id]
    flip(0.7)(place(desk, tip))
    assert acknowledged(server, desk, tmp_path / "o2") == []
    assert desk.take(server.export(tmp_path / "2", desk.manifest, [tip])).put_back == 1
    assert acknowledged(server, desk, tmp_path / "o3") == [tip.id]


@pytest.mark.parametrize("taken", [[1], [1, 2], [2]])
def test_what_was_acknowledged_and_is_lost_does_not_wait_for_ever(
    desk: Desk, server: Exporter, tip: Envelope, tmp_path: Path, taken: list[int]
) -> None:
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    assert acknowledged(server, desk, tmp_path / "o1") == [tip.id]
    place(desk, tip).unlink()
    assert acknowledged(server, desk, tmp_path / "o2") == []
    outcome = desk.take(server.export(tmp_path / "2", desk.manifest, [], taken=taken), copies=False)
    assert outcome.unconfirmed == 0
    with desk.open(write=True) as vault:
        sent = write_outbox(vault, ceremony.organisation_of(vault), tmp_path / "o3", today=TODAY)
    assert (sent.unconfirmed, sent.acknowledged) == (0, 0)
    # The report was of an outbox without it: the server still has it, and says so by bringing it once more.
    again = desk.take(server.export(tmp_path / "3", desk.manifest, [tip], taken=[2]))
    assert again.put_back == 1
    assert acknowledged(server, desk, tmp_path / "o4") == [tip.id]


UNREADABLE = Path("/proc/self/mem")
"""A file whose first bytes give EIO, as a disk does that is failing."""


def fail_to_read(path: Path) -> bytes:
    data = path.read_bytes()
    path.unlink()
    path.symlink_to(UNREADABLE)
    return data


def test_a_tip_that_neither_disk_gives_does_not_stop_a_copy(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    first, bad, late = (seal_tip(desks.manifests, files=[("a", CONTENT)]) for _ in range(3))
    desk.take(server.export(tmp_path / "1", desk.manifest, [first, bad]), copies=False)
    there = tmp_path / "copy"
    with desk.open(write=True) as vault:
        assert copy_vault(vault, there, today=TODAY).damaged == ()
    desk.take(server.export(tmp_path / "2", desk.manifest, [late]), copies=False)
    with desk.open(write=True) as vault:
        for folder in (vault.path, there):
            fail_to_read(folder / "tips" / vault.tip_path(bad.id).name)
        done = copy_vault(vault, there, today=TODAY, every=True)
        assert (done.damaged, done.written, done.confirmed) == ((bad.id,), 1, 1)
    with Desk(there, desk.manifest).open() as twin:
        assert [holds_whole(twin, tips.find_tip(twin, one.id.hex())) for one in (first, bad, late)] == [
            True, False, True,
        ]  # fmt: skip
