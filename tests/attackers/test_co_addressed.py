"""B, which a source addressed together with A, puts words and files into the thread that A has with the source.

B has its own vault and one shared tip. It makes its copy from what it carried itself, and hands it in as any source
does; or it gives A a `.tip` file on a stick before A has carried the true one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from attackers.people import Desk, SentTip, Source, TipLine
from attackers.toolkit import Captured, envelope_id, garbled, upload, write_together
from tipbox.formats.manifest import Manifest

BOTH = ("fidh", "ili")
WORDS = "Стреляли вчера вечером на площади."
LIES = "Nobody was there. Send me the names of your people."


@dataclass(frozen=True)
class Scene:
    """A source has written to A and B, and B has what it wrote; A has not carried it yet."""

    line: TipLine
    source: Source
    sent: SentTip
    desk: Desk
    attacker: Captured
    shared: bytes

    def hand_in(self, forged: bytes, when: str) -> None:
        """Bring a copy to A's desk before or after the true one, or in its place."""
        if when == "after":
            self.line.carry(self.desk.name)
            upload(self.line.server, forged)
        else:
            stick = self.line.scratch("stick") / "forged.tip"
            stick.write_bytes(forged)
            self.desk.take(stick)
        if when != "instead":
            self.line.carry(self.desk.name)


def scene(line: TipLine, *files: Path) -> Scene:
    source, attacker = line.source(), Captured(line.desks["ili"])
    sent = source.send(WORDS, *files, to=BOTH)
    shared = attacker.collect(line.export("ili"))[sent.id]
    return Scene(line, source, sent, line.desks["fidh"], attacker, shared)


@pytest.mark.parametrize("when", ["before", "after"])
def test_b_puts_no_words_into_a_s_thread(line: TipLine, when: str) -> None:
    here = scene(line)
    here.hand_in(here.attacker.forge_letter(here.shared, LIES), when)

    assert here.desk.says_the_source(here.sent.id) == [WORDS]


@pytest.mark.parametrize("when", ["before", "after"])
def test_b_replaces_no_file(line: TipLine, tmp_path: Path, when: str) -> None:
    true, false = b"TRUE " * 20_000, b"LIES " * 20_000
    video = tmp_path / "video.mp4"
    video.write_bytes(true)
    here = scene(line, video)
    here.hand_in(here.attacker.forge_files(here.shared, [false]), when)
    thread = next(one["thread"] for one in here.desk.tips() if one["id"] == here.sent.id)
    shown = [
        here.desk.open(one["id"], line.scratch("tip") / "opened").files["video.mp4"].read_bytes()
        for one in here.desk.tips()
        if one["thread"] == thread
    ]

    assert shown == [true]


def test_equal_check_digits_vouch_for_the_words(line: TipLine) -> None:
    """The true tip never arrives. Whatever A shows with the digits that the source reads out has the source's words."""
    here = scene(line)
    before = {one["id"] for one in here.desk.tips()}
    here.hand_in(here.attacker.forge_letter(here.shared, LIES), "instead")
    opened = [
        here.desk.open(one["id"], line.scratch("tip") / "opened") for one in here.desk.tips() if one["id"] not in before
    ]
    same_digits = [one for one in opened if here.sent.digits["fidh"] in str(one.facts)]

    assert {one.message.decode() for one in same_digits} <= {WORDS}


def test_b_makes_no_new_header_that_names_the_third_in_vain(line: TipLine) -> None:
    """The same words under a header in which C's slot holds nothing, before the true one: A confirms other digits."""
    source, attacker, desk = line.source(), Captured(line.desks["ili"]), line.desks["fidh"]
    sent = source.send(WORDS, to=("fidh", "ili", "kibhr"))
    shared = attacker.collect(line.export("ili"))[sent.id]
    again = attacker.rewrap(shared, spoiled=Captured(line.desks["kibhr"]).id)
    stick = line.scratch("stick") / "again.tip"
    stick.write_bytes(again)
    desk.take(stick)
    line.carry("fidh")

    assert not desk.lists(envelope_id(again))
    assert desk.lists(sent.id)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_garbled_copy_displaces_nothing(line: TipLine, when: str) -> None:
    """Anybody can make one. It neither hides the true tip nor stands beside it."""
    here = scene(line)
    here.hand_in(garbled(here.shared), when)
    line.carry("fidh")

    assert here.desk.says_the_source(here.sent.id) == [WORDS]


def test_a_replay_says_nothing_twice(line: TipLine) -> None:
    here = scene(line)
    here.hand_in(here.shared, "after")
    here.hand_in(here.shared, "before")

    assert here.desk.says_the_source(here.sent.id) == [WORDS]


def test_all_who_can_open_it_forge_it_together(line: TipLine) -> None:
    """A and B, with both vaults: a new tip that either shows as their source's. One of them alone cannot, as above."""
    here = scene(line)
    manifests = {name: Manifest.parse((line.keys / f"{name}.json").read_bytes()) for name in BOTH}
    both = {Captured(line.desks[name]): manifest for name, manifest in manifests.items()}
    upload(line.server, write_together(both, here.shared, LIES))
    for name in BOTH:
        line.carry(name)

        assert sorted(line.desks[name].says_the_source(here.sent.id)) == sorted([WORDS, LIES])
