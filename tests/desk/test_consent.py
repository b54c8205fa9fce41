"""What a source allows: the narrowest that its accepted tips together say, whatever order they come in."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from support.desk import TODAY, Desk, Desks, Envelope, Exporter, days_after, listed, seal_tip
from tipbox.desk import sentences, tips
from tipbox.desk.vault.records import Thread, narrower
from tipbox.formats.access_code import Secrets
from tipbox.formats.base.limits import KEY_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.envelopes.consent import LEVELS, Consent

SOURCE = Secrets(random_bytes(KEY_SIZE))


def tip(desks: Desks, consent: Consent | None, message: bytes = b"words", **more: bytes) -> Envelope:
    return seal_tip(desks.manifests, message=message, secrets=SOURCE, consent=consent, **more)  # type: ignore[arg-type]


def thread(desk: Desk, envelope: Envelope) -> Thread:
    with desk.open() as vault:
        found = Thread.find(vault, tips.find_tip(vault, envelope.id.hex()).thread)
    assert found is not None
    return found


@pytest.mark.parametrize("order", list(itertools.permutations((4, 1))))
def test_of_two_consents_of_one_day_the_lower_holds_in_both_orders(
    desks: Desks, desk: Desk, order: tuple[int, ...], tmp_path: Path
) -> None:
    server = Exporter()
    sent = [tip(desks, Consent(level), b"%d" % level) for level in order]
    desk.take(server.export(tmp_path / "x", desk.manifest, sent))
    assert thread(desk, sent[0]).consent == Consent(1)
    assert {row["consent"]["level"] for row in listed(desk)} == {1}


def test_a_tip_that_names_none_raises_nothing_and_missing_is_not_level_0(
    desks: Desks, desk: Desk, tmp_path: Path
) -> None:
    server = Exporter()
    silent, low = tip(desks, None), tip(desks, Consent(0), b"low")
    desk.take(server.export(tmp_path / "1", desk.manifest, [silent]))
    assert thread(desk, silent).consent is None
    assert [row["consent"] for row in listed(desk)] == [None]
    desk.take(server.export(tmp_path / "2", desk.manifest, [low]))
    assert thread(desk, silent).consent == Consent(0)
    follow_up = tip(desks, None, b"later", continues=low.hash)
    public = tip(desks, Consent(5), b"public")
    desk.take(server.export(tmp_path / "3", desk.manifest, [follow_up, public]))
    assert thread(desk, silent).consent == Consent(0), "a found code must not publish testimony"


def test_exceptions_are_joined_and_the_earliest_end_holds() -> None:
    one = Consent(3, never=("the press", "police"), until=days_after(9))
    other = Consent(4, ask_me=True, never=("police", "neighbours"), until=days_after(3))
    expected = Consent(3, ask_me=True, never=("the press", "police", "neighbours"), until=days_after(3))
    assert narrower(one, other) == expected
    assert narrower(other, one) == Consent(3, True, ("police", "neighbours", "the press"), days_after(3))
    assert narrower(None, one) == narrower(one, one) == one
    assert narrower(one, Consent(5)) == one


def test_what_is_not_accepted_says_nothing_about_consent(desks: Desks, desk: Desk, tmp_path: Path) -> None:
    server = Exporter()
    said, garbage = tip(desks, Consent(4)), tip(desks, Consent(0), b"other")
    spoiled = Envelope.of(garbage.data[:-96] + bytes(96))
    stranger = seal_tip(desks.manifests, consent=Consent(0))
    assert desk.take(server.export(tmp_path / "x", desk.manifest, [said, spoiled, stranger])).counts == {
        "mine": 2,
        "forged": 1,
    }
    assert thread(desk, said).consent == Consent(4)


def test_more_exceptions_than_one_letter_can_name_are_all_kept_and_shown(
    desks: Desks, desk: Desk, tmp_path: Path
) -> None:
    server = Exporter()
    sent = [
        tip(desks, Consent(2, never=tuple(f"{number}-{n}" for n in range(8))), b"%d" % number) for number in range(3)
    ]
    desk.take(server.export(tmp_path / "x", desk.manifest, sent))
    found = thread(desk, sent[0])
    assert found.consent is not None
    assert len(found.consent.never) == 24
    assert len(listed(desk)[0]["consent"]["never"]) == 24
    assert "never: 2-7" in sentences.consent(found, TODAY)


def test_the_sentence_about_it() -> None:
    def said(consent: Consent | None) -> str:
        return sentences.consent(Thread(bytes(16), bytes(32), consent), TODAY)

    assert said(None) == sentences.consent(None, TODAY) == "the source has not said what may be done with this"
    assert said(Consent(0)) == "level 0, internal"
    assert [said(Consent(level)) for level in range(6)] == [f"level {n}, {name}" for n, name in enumerate(LEVELS)]
    full = Consent(3, ask_me=True, never=("the press",), until=TODAY)
    assert said(full) == "level 3, courts; ask before each use; never: the press; until 2026-01-20"
    assert said(Consent(3, until=days_after(-1))).endswith("until 2026-01-19, which is over")
