"""One tip that came in several Envelopes: words first, files later, in any order, with holes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.desk import TODAY, Desk, Desks, Envelope, Exporter, days_after, listed, opened, seal_tip
from tipbox.desk import conversations, replies, sentences, tips
from tipbox.desk.joined import MAX_ROW, join, joined_tip, joined_tips
from tipbox.desk.keys import ceremony
from tipbox.desk.vault.records import Copy, Tip, TipFile
from tipbox.formats.access_code import Secrets
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import random_bytes, sha256

SOURCE = Secrets(random_bytes(KEY_SIZE))
BARE = Tip(
    id=b"",
    hash=b"",
    thread=b"t" * 16,
    message_id=b"m" * 16,
    received=TODAY,
    imported=TODAY,
    state="new",
    content_key=bytes(32),
    pair_key=bytes(32),
    mailbox=bytes(32),
    seal_secret=bytes(32),
    files=(),
)


def part(number: int, before: int = 0, files: int = 1, **more: Any) -> Tip:
    """An Envelope with this number that continues ``before`` (0: none); 1 has the words."""
    return replace(
        BARE,
        id=bytes([number]) * 32,
        hash=sha256(bytes([number])),
        continues=sha256(bytes([before])) if before else b"",
        files=(TipFile(f"{number}", 1, ""),) * files,
        words=number == 1,
        **more,
    )


def rows(tips_: Sequence[Tip], copies: Sequence[Copy] = ()) -> list[list[int]]:
    return sorted([one.id[0] for one in tip.envelopes] for tip in join(tips_, copies))


# --- which belong together -------------------------------------------------------------------------------------------


@given(st.permutations([part(1, files=0), part(2, 1), part(3, 2), part(4, 3)]))
def test_a_row_is_one_tip_in_whatever_order_it_came(order: list[Tip]) -> None:
    (tip,) = join(order)
    assert [one.id[0] for one in tip.envelopes] == [1, 2, 3, 4]
    assert [(one.messages, one.files, one.gap) for one in tip.covered] == [(1, number, False) for number in range(4)]


@given(st.permutations([part(1, files=0, files_follow=2), part(3, 2)]))
def test_a_hole_is_told(order: list[Tip]) -> None:
    first, alone = sorted(join(order), key=lambda tip: tip.id)
    assert (first.gap, first.missing) == (False, 2)
    assert (alone.gap, alone.missing) == (True, 0)
    assert [(one.messages, one.files, one.gap) for one in alone.covered] == [(0, 1, True)]


@pytest.mark.parametrize(
    ("announced", "files", "missing"), [(0, 2, 0), (2, 2, 0), (3, 2, 1), (1, 2, 0), (1000, 0, 1000)]
)
def test_files_that_have_not_come_are_counted(announced: int, files: int, missing: int) -> None:
    parts = [part(1, files=0, files_follow=announced), *(part(number + 2, number + 1) for number in range(files))]
    (tip,) = join(parts)
    assert tip.missing == missing
    apart = [replace(parts[0], first=parts[0].id, state="opened"), *parts[1:]]
    assert max(tip.missing for tip in join(apart)) == missing, "what stands apart has come"


def test_what_came_after_a_person_opened_it_stands_apart() -> None:
    opened_ = [replace(one, first=b"\x01" * 32, state="opened") for one in (part(1), part(2, 1))]
    new = [part(3, 2), part(4, 3)]
    assert rows([*opened_, *new]) == [[1, 2], [3, 4]]
    apart = next(tip for tip in join([*opened_, *new]) if tip.state == "new")
    assert (apart.gap, [one.files for one in apart.covered]) == (False, [3, 4])


def test_nothing_is_joined_across_threads() -> None:
    stranger = replace(part(2, 1), thread=b"u" * 16)
    assert rows([part(1), stranger]) == [[1], [2]]
    assert [tip.gap for tip in join([part(1), stranger])].count(True) == 1


def test_a_copy_that_was_folded_into_a_tip_is_gone_on_from_too() -> None:
    copy = Copy(b"\x09" * 32, sha256(b"\x09"), b"\x01" * 32, TODAY, TODAY)
    assert rows([part(1), part(2, 9)], [copy]) == [[1, 2]]


def test_two_that_go_on_from_one_are_two_tips_and_neither_is_lost() -> None:
    assert rows([part(1), part(2, 1), part(3, 1), part(4, 3)]) == [[1, 2], [3, 4]]
    together = [replace(one, first=b"\x01" * 32) for one in (part(1), part(3, 1))]
    assert rows([*together, part(2, 1)]) == [[1, 3], [2]], "what was opened together stays so"


def test_a_row_has_an_end() -> None:
    assert [len(row) for row in rows([part(number, number - 1) for number in range(1, 71)])] == [MAX_ROW, MAX_ROW, 6]


def test_a_circle_is_shown_whole() -> None:
    """By means of a copy a source can name Envelopes in a circle."""
    copy = Copy(b"\x09" * 32, sha256(b"\x09"), b"\x01" * 32, TODAY, TODAY)
    assert rows([part(1, 2), part(2, 9)], [copy]) == [[1, 2]]
    assert rows([part(3, 3)]) == [[3]]


@given(
    st.lists(st.integers(0, 12), min_size=12, max_size=12),
    st.lists(st.sampled_from([b"", b"a", b"b"]), min_size=12, max_size=12),
    st.lists(st.tuples(st.integers(20, 30), st.integers(1, 12)), max_size=5),
)
def test_each_envelope_is_shown_once(before: list[int], firsts: list[bytes], copies: list[tuple[int, int]]) -> None:
    parts = [part(number, one, first=first) for number, (one, first) in enumerate(zip(before, firsts, strict=True), 1)]
    folded = [Copy(bytes([one]) * 32, sha256(bytes([one])), bytes([other]) * 32, TODAY, TODAY) for one, other in copies]
    found = [one.id[0] for tip in join(parts, folded) for one in tip.envelopes]
    assert sorted(found) == list(range(1, 13))


# --- at the desk -----------------------------------------------------------------------------------------------------


@dataclass
class Scene:
    """A desk, its server, and a source that sends words and then two files."""

    desk: Desk
    folder: Path
    server: Exporter
    parts: tuple[Envelope, ...]

    def take(self, *envelopes: Envelope, day: int = 0) -> None:
        """Import a Bundle of that day."""
        path, at = self.folder / f"{self.server.sequence}.bundle", days_after(day)
        outcome = self.desk.take(self.server.export(path, self.desk.manifest, envelopes, day=at), today=at)
        assert outcome.problems == []

    def talk(self) -> list[dict[str, Any]]:
        """What the source has said."""
        with self.desk.open() as vault:
            found = tips.find_tip(vault, listed(self.desk)[0]["id"])
            talk = conversations.thread_of(vault, ceremony.organisation_of(vault), found)
        return [one for one in talk["messages"] if one["kind"] == "tip"]


@pytest.fixture
def scene(desks: Desks, tmp_path: Path) -> Scene:
    words = seal_tip(desks.manifests, message=b"It was at night.", secrets=SOURCE, files_follow=2)
    one = seal_tip(desks.manifests, message=b"", files=[("a.jpg", b"one")], secrets=SOURCE, continues=words.hash)
    two = seal_tip(desks.manifests, message=b"", files=[("b.jpg", b"two")], secrets=SOURCE, continues=one.hash)
    return Scene(desks.desks[2], tmp_path, Exporter(), (words, one, two))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_three_envelopes_in_any_order_are_one_tip(scene: Scene, order: tuple[int, ...]) -> None:
    scene.take(*(scene.parts[number] for number in order))
    (tip,) = listed(scene.desk)
    assert tip["id"] == scene.parts[0].id.hex()
    assert [file["name"] for file in tip["files"]] == ["a.jpg", "b.jpg"]
    assert (tip["missing"], tip["before_missing"]) == (0, False)
    digits = [one.digits[scene.desk.manifest.id] for one in scene.parts]
    assert [(one["check_digits"], one["covers"]["files"]) for one in tip["envelopes"]] == [
        (digits[0], 0),
        (digits[1], 1),
        (digits[2], 2),
    ]
    assert list(sentences.tip_lines(tip)) == [
        f"check digits {digits[0]}: the source's words",
        f"check digits {digits[1]}: the source's words and 1 file",
        f"check digits {digits[2]}: the source's words and 2 files",
    ]
    out = opened(scene.desk, scene.parts[1].id, scene.folder / "out")
    assert (out / "message.txt").read_bytes() == b"It was at night."
    assert {path.name: path.read_bytes() for path in (out / "files").iterdir()} == {
        "001-a.jpg": b"one",
        "002-b.jpg": b"two",
    }
    facts = json.loads((out / "tip.json").read_bytes())
    assert (facts["id"], facts["check_digits"]) == (tip["id"], digits[2])
    assert [file["path"] for file in facts["files"]] == ["files/001-a.jpg", "files/002-b.jpg"]


@pytest.mark.parametrize("order", list(itertools.permutations((0, 2))))
def test_the_second_of_three_is_dropped_and_may_come_later(scene: Scene, order: tuple[int, ...]) -> None:
    for day, number in enumerate(order):
        scene.take(scene.parts[number], day=day)
    by_id = {tip["id"]: tip for tip in listed(scene.desk)}
    first, alone = (by_id[scene.parts[number].id.hex()] for number in (0, 2))
    assert (first["missing"], first["before_missing"]) == (2, False)
    assert (alone["missing"], alone["before_missing"]) == (0, True)
    assert list(sentences.tip_lines(alone)) == [
        f"check digits {scene.parts[2].digits[scene.desk.manifest.id]}: 1 file, not what came before",
        sentences.BEFORE_MISSING,
    ]
    scene.take(scene.parts[1], day=5)
    (tip,) = listed(scene.desk)
    assert (len(tip["envelopes"]), tip["missing"], tip["before_missing"]) == (3, 0, False)
    assert tip["received"] == tip["envelopes"][0]["received"] == first["received"]
    assert len({one["received"] for one in tip["envelopes"]}) == 3, "each keeps its own day"


def test_what_comes_after_staff_opened_it_is_new_and_apart(scene: Scene) -> None:
    words, one, two = scene.parts
    scene.take(words)
    with scene.desk.open(write=True) as vault:
        tips.mark_opened(vault, joined_tip(vault, tips.find_tip(vault, words.id.hex())))
    scene.take(two, one, day=1)
    states = {tip["id"]: (tip["state"], len(tip["envelopes"]), tip["missing"]) for tip in listed(scene.desk)}
    assert states == {words.id.hex(): ("opened", 1, 0), one.id.hex(): ("new", 2, 0)}
    assert [message["id"] for message in scene.talk()] == [words.id.hex(), one.id.hex()]
    out = opened(scene.desk, two.id, scene.folder / "out")
    assert sorted(path.name for path in (out / "files").iterdir()) == ["001-a.jpg", "002-b.jpg"]


def test_what_comes_while_it_is_being_opened_stays_new(scene: Scene) -> None:
    words, one, _ = scene.parts
    scene.take(words)
    with scene.desk.open() as vault:
        shown = joined_tip(vault, tips.find_tip(vault, words.id.hex()))
    scene.take(one)
    with scene.desk.open(write=True) as vault:
        tips.mark_opened(vault, shown)
    assert {tip["id"]: tip["state"] for tip in listed(scene.desk)} == {words.id.hex(): "opened", one.id.hex(): "new"}


def test_words_that_come_later_are_all_shown_and_no_earlier_digits_vouch_for_them(desks: Desks, scene: Scene) -> None:
    words = scene.parts[0]
    more = seal_tip(desks.manifests, message=b"\xd0 and more", secrets=SOURCE, continues=words.hash)
    scene.take(words, more)
    (tip,) = listed(scene.desk)
    first, second = (one.digits[scene.desk.manifest.id] for one in (words, more))
    assert list(sentences.tip_lines(tip)) == [
        f"check digits {first}: the source's words",
        f"check digits {second}: 2 messages of the source",
        "2 files have not come",
    ]
    out = opened(scene.desk, more.id, scene.folder / "out")
    assert (out / "message.txt").read_bytes() == b"It was at night.\n\n\xd0 and more"
    assert [one["text"] for one in scene.talk()] == ["It was at night.\n\n\N{REPLACEMENT CHARACTER} and more"]


def test_an_answer_to_any_of_them_answers_the_tip(scene: Scene) -> None:
    scene.take(*scene.parts)
    with scene.desk.open(write=True) as vault:
        found = tips.find_tip(vault, scene.parts[2].id.hex())
        made = replies.queue_reply(vault, found, b"We have it.", [], today=TODAY)
        assert (made.tip, conversations.addressee(vault, found).begins) == (scene.parts[0].id, "It was at night.")
        assert {tip.state for tip in Tip.all(vault)} == {"answered"}
        assert conversations.close(vault, found.thread) == 1
        assert [tip.state for tip in joined_tips(vault)] == ["closed"]


def test_one_tip_by_two_sessions_and_as_a_file_is_one_tip(desks: Desks, tmp_path: Path) -> None:
    """The same message under other keys: the first stays; hash, day and stamp of the others are noted with it."""
    desk, server, ident = desks.desks[2], Exporter(), random_bytes(ID_SIZE)
    same = [
        seal_tip(desks.manifests, message=b"Once.", secrets=SOURCE, message_id=ident, continues=continues)
        for continues in (b"", random_bytes(32), b"")
    ]
    (tmp_path / "x.tip").write_bytes(same[2].data)
    assert desk.take(tmp_path / "x.tip").counts == {"mine": 1}
    items = [server.item(one, days_after(-number)) for number, one in enumerate(same)]
    outcome = desk.take(server.export(tmp_path / "1", desk.manifest, [], extra=items))
    assert (outcome.counts, outcome.notices) == ({"duplicate": 2, "known": 1}, [])
    (tip,) = listed(desk)
    assert (tip["id"], tip["received"]) == (same[2].id.hex(), days_after(-2).isoformat())
    with desk.open() as vault:
        copies = {copy.hash: (copy.tip, copy.received, copy.stamp is not None) for copy in Copy.all(vault)}
    assert copies == {
        same[0].hash: (same[2].id, TODAY, True),
        same[1].hash: (same[2].id, days_after(-1), True),
    }
    later = seal_tip(desks.manifests, message=b"", files=[("a", b"a")], secrets=SOURCE, continues=same[1].hash)
    desk.take(server.export(tmp_path / "2", desk.manifest, [later]))
    (tip,) = listed(desk)
    assert len(tip["envelopes"]) == 2
