"""What a desk acknowledges is whole on its disk: damage is found, put back from a Bundle or a file, and told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import Run
from support.desk import PASSWORD, TODAY, Desk, Desks, Envelope, Exporter, acknowledged, opened, seal_tip, stored
from tipbox.desk import replies, tips
from tipbox.desk.vault.vault import INCOMING
from tipbox.files.durable import write_file
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
