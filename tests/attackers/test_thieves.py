"""Thieves of a desk, with and without its passphrase, and of an identity key. Each test has a server to spoil."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest

from attackers.people import Desk, TipLine, tipbox
from attackers.toolkit import Captured, Seized, sign_own_keys, words_opened
from support.world import Ring, running_world
from tipbox.desk.vault.sealed_file import sealed_file_size
from tipbox.formats.base.limits import MAX_SERIAL
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.manifest import Manifest


@pytest.fixture(name="line")
def _line(ring: Ring) -> Iterator[TipLine]:
    with running_world(ring, tcp=True) as made:
        yield TipLine(made)


def stolen(line: TipLine, name: str) -> Desk:
    """A copy of an organisation's vault, and the passphrase of it."""
    return Desk(name, shutil.copytree(line.desks[name].folder, line.scratch("stolen") / name))


def test_a_vault_without_its_passphrase_shows_numbers_and_sizes(line: TipLine) -> None:
    """How long each tip was, that a reply is under way, how many records there are; no byte that travelled."""
    desk, photo = line.desks["fidh"], line.scratch("source") / "photo.jpg"
    photo.write_bytes(bytes(100_000))
    words = "Стреляли вчера вечером на площади."
    sent = [line.source().send(words, *files, to=("fidh",)).id for files in ((), (photo,))]
    travelled = list(Captured(desk).collect(line.export("fidh")).values())
    line.carry("fidh")
    desk.reply(sent[0], "Who was it?")
    vault = desk.vault
    with closing(sqlite3.connect(vault / "vault.db")) as store:
        kinds = Counter(kind for (kind,) in store.execute("SELECT kind FROM record"))
    stored = b"".join(path.read_bytes() for path in vault.rglob("*") if path.is_file())

    sizes = sorted(sealed_file_size(len(one)) for one in travelled)
    assert sorted(path.stat().st_size for path in (vault / "tips").iterdir()) == sizes
    assert not any(one[at : at + 16] in stored for one in travelled for at in range(0, len(one) - 16, 500))
    assert len(list((vault / "replies").iterdir())) == 1
    assert (kinds["tip"], kinds["thread"]) == (2, 2)
    for secret in (words, "Who was it?", "photo.jpg", *sent):
        assert secret.encode() not in stored


def test_a_vault_with_its_passphrase_speaks_to_its_sources(line: TipLine) -> None:
    """Through the server until the organisation revokes its keys; then still by way of another organisation's desk."""
    desk, source, accomplice = line.desks["fidh"], line.source(), Captured(line.desks["ili"])
    sent = source.send("Whom can I trust?", to=("fidh",))
    line.carry("ili")
    line.carry("fidh")
    thief = stolen(line, "fidh")
    shared = Seized.copy(line.server, line.scratch("seized")).tips()[sent.id]

    def deliver(text: str) -> None:
        thief.reply(sent.id, text)
        line.bring_back(thief.outbox(line.scratch("in") / "fidh.bundle"))

    deliver("Come alone.")
    assert source.told_by("fidh") == ["Come alone."]
    new = ("--out", line.keys / "fidh.json", "--passphrase-file", desk.secret)
    tipbox("keys", "rotate", "--vault", desk.vault, *new)
    for _ in range(2):  # the thief has used up the first number; the desk learns of it, and goes on with the next
        line.answer("fidh")
        line.carry("fidh")
    deliver("Come at midnight.")
    assert source.told_by("fidh") == ["Come alone."]
    source.inbox(delete=True)
    known = Captured(thief).open(shared).slot
    out = line.scratch("in") / "ili.bundle"
    line.bring_back(accomplice.write_into(known.mailbox, known.pair_key, "It is still me.", out))
    assert source.told_by("fidh") == ["It is still me."]


def test_an_identity_key_opens_later_tips_and_no_earlier_ones(line: TipLine) -> None:
    """Its manifest is as good as the organisation's own to whoever reads it."""
    captured = Captured(line.desks["fidh"])
    manifest = Manifest.parse((line.keys / "fidh.json").read_bytes())
    before = line.source().send("Before the theft.", to=("fidh",))
    usurped = sign_own_keys(manifest, captured.identity, (manifest.serial[0], manifest.serial[1] + 1))
    (line.keys / "fidh.json").write_bytes(usurped.file)
    (verified,) = [
        one["problems"]
        for one in tipbox("keys", "verify", "--keys", line.keys, "--json").json
        if one["file"].endswith("fidh.json")
    ]
    after = line.source().send("After the theft.", to=("fidh",))
    tips = Seized.copy(line.server, line.scratch("seized")).tips()
    keys = {usurped.seed, usurped.desk.encode(), captured.identity.encode()}

    assert verified == []
    assert words_opened([tips[after.id]], keys) == {"After the theft."}
    assert words_opened([tips[before.id]], keys) == set()


def test_an_identity_key_takes_the_organisation_s_place_at_the_server(line: TipLine) -> None:
    """With the help of one that knows the server. Tips that wait are acknowledged, and no rotation revokes it."""
    desk, accomplice = line.desks["fidh"], Captured(line.desks["ili"])
    manifest = Manifest.parse((line.keys / "fidh.json").read_bytes())
    line.carry("fidh")
    sent = line.source().send("Has anybody read this?", to=("fidh",))
    for name in ("ili", "kibhr"):
        line.carry(name)
        line.answer(name)
    usurped = sign_own_keys(manifest, Captured(desk).identity, (MAX_SERIAL, MAX_SERIAL))
    items = {"manifest": usurped.file, "ack": acknowledge([bytes.fromhex(sent.id)], usurped.desk)}
    bundle = accomplice.write_for(manifest.id, usurped.desk, 1000, items, line.scratch("in") / "fidh.bundle")
    assert sent.id in Seized.copy(line.server, line.scratch("seized")).openings(), "the control: one has not had it"
    line.bring_back(bundle)

    assert sent.id not in Seized.copy(line.server, line.scratch("seized")).openings()
    new = ("--out", line.scratch("new") / "fidh.json", "--passphrase-file", desk.secret)
    tipbox("keys", "rotate", "--vault", desk.vault, *new)
    (taken,) = line.bring_back(desk.outbox(line.scratch("in") / "fidh.bundle"))
    assert [one["error"] for one in taken["refused"]] == ["wrong-sender"]
    assert (line.server.home / "keys" / "fidh.json").read_bytes() == usurped.file
