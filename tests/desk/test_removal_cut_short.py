"""A removal that is killed, or whose disk is full or away, at durable writes: nothing is lost, and it goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from desk.conftest import CutShort
from support.desk import PASSWORD, Desk, Desks, Exporter, opened, seal_tip
from support.killed import Ending, killed_at
from tipbox.desk import people, replies, tips
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.inbox import listing
from tipbox.desk.keys import ceremony
from tipbox.desk.second_copy import copy_vault
from tipbox.desk.vault.vault import INCOMING, REPLIES, TIPS, Vault
from tipbox.desk.whole import check
from tipbox.errors import WrongPassphrase
from tipbox.formats.base import days
from tipbox.formats.base.primitives import random_bytes

TIMUR, DANA = b"six other words by other dice", b"and six more that nobody knows"
CONTENT = random_bytes(150_000)


@pytest.fixture
def made(made_today: Desks, tmp_path: Path) -> Desks:
    """A desk of three people, with tips and a reply that waits."""
    desks = made_today.copy(tmp_path / "made")
    desk, server, today = desks.desks[1], Exporter(), days.today()
    sent = [seal_tip(desks.manifests, files=[("a", CONTENT)], today=today), seal_tip(desks.manifests, today=today)]
    desk.take(server.export(tmp_path / "1.bundle", desk.manifest, sent, day=today), today=today)
    with desk.open(write=True) as vault:
        for name, passphrase in (("Timur", TIMUR), ("Dana", DANA)):
            people.add(vault, name, passphrase, "caseworker", own=PASSWORD, today=today)
        replies.queue_reply(vault, tips.find_tip(vault, sent[0].id.hex()), b"When?", [], today=today)
        listing.search_tips(vault, ceremony.organisation_of(vault), "площади", limit=9)
    return desks


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(PASSWORD)
    path.chmod(0o600)
    return path


def lets_in(vault: Path, passphrase: bytes) -> bool:
    try:
        Vault.open(vault, passphrase).close()
    except WrongPassphrase:
        return False
    return True


def whole(vault: Path, passphrase: bytes = PASSWORD) -> tuple[int, int, int]:
    """How many tips and replies there are, which are whole; and how often it was sealed anew."""
    with Vault.open(vault, passphrase, write=True) as found:
        done = check(found)
        assert (done.damaged, done.replies, check_chain(found).problem) == ((), (), "")
        organisation = ceremony.organisation_of(found)
        assert len(listing.search_tips(found, organisation, "площади", limit=9)) == done.tips
        files = [path for folder in (TIPS, REPLIES, INCOMING) for path in (vault / folder).iterdir()]
        return done.tips, len(files), len(found.keys.chain)


@pytest.mark.parametrize("ending", Ending, ids=lambda ending: ending.value)
def test_a_removal_cut_short_at_durable_writes_goes_on_at_the_next_command(
    made: Desks, cut_short: CutShort, secret: Path, tmp_path: Path, ending: Ending
) -> None:
    def fresh() -> Desk:
        shutil.rmtree(tmp_path / "cut", ignore_errors=True)
        return made.copy(tmp_path / "cut").desks[1]

    given = ("--vault", fresh().vault, "--passphrase-file", secret, "--reason", "left us")
    found = set()
    for desk, ended in cut_short(fresh, ending, "desk", "person", "remove", "Timur", *given):
        # Whoever of those who stay comes first ends it; he is shut out, or still one of them, and nothing else.
        shut_out = not lets_in(desk.vault, TIMUR)
        assert ended.code != 0 or shut_out, "what it called done is done"
        assert lets_in(desk.vault, DANA)
        assert whole(desk.vault) == (2, 3, 2 if shut_out else 1)
        assert lets_in(desk.vault, TIMUR) is not shut_out
        found.add(shut_out)
        if not shut_out:
            with desk.open(write=True) as vault:
                people.remove(vault, "Timur", "left us", today=days.today())
        assert whole(desk.vault, DANA) == (2, 3, 2)
        assert not lets_in(desk.vault, TIMUR)
    assert found == {False, True}


@pytest.mark.parametrize("call", ["fsync", "rename", "unlink"])
def test_a_removal_killed_again_and_again_comes_to_its_end(made: Desks, call: str) -> None:
    """The same vault each time, as on a machine that goes off again and again, a little later each time."""
    desk, today = made.desks[1], days.today()

    def removing() -> None:
        with desk.open(write=True) as vault:
            if "Timur" in {one.name for one in people.everybody(vault)}:
                people.remove(vault, "Timur", "left us", today=today)

    numbers: Iterator[int] = iter(range(1, 1000))
    kills = 0
    while killed_at(call, next(numbers), removing):
        kills += 1
        assert lets_in(desk.vault, DANA) or kills < 0
    assert kills
    assert whole(desk.vault) == (2, 3, 2)
    assert not lets_in(desk.vault, TIMUR)


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_copy_that_is_sealed_anew_and_killed_is_whole_at_each_moment(made: Desks, tmp_path: Path, call: str) -> None:
    desk, copy, today = made.desks[1], tmp_path / "copy", days.today()
    with desk.open(write=True) as vault:
        copy_vault(vault, copy, today=today)
        people.remove(vault, "Timur", "left us", today=today)

    def copying() -> None:
        with desk.open(write=True) as vault:
            copy_vault(vault, copy, today=today)

    kills, kept = 0, tmp_path / "kept"
    for number in range(1, 1000):
        if not killed_at(call, number, copying):
            break
        kills += 1
        if number % 4 == 1:  # each opens it, and so ends what was begun, on a copy of its own
            shutil.copytree(copy, kept)
            assert whole(kept)[:2] == (2, 3)
            shutil.rmtree(kept)
    assert kills
    assert whole(copy) == (2, 3, 2)
    assert not lets_in(copy, TIMUR)
    opened(Desk(copy, desk.manifest), _first(desk), tmp_path / "out")
    assert (tmp_path / "out" / "files" / "001-a").read_bytes() == CONTENT


def _first(desk: Desk) -> bytes:
    with desk.open() as vault:
        rows = listing.list_tips(vault, ceremony.organisation_of(vault))
    return bytes.fromhex(next(row["id"] for row in rows if row["files"]))
