"""A server, or whoever carries a stick, changes one bit of a tip. No desk that it was for calls it somebody else's."""

from __future__ import annotations

from collections import Counter

from attackers.people import TipLine
from attackers.toolkit import SALT, Captured, flipped, upload

DESKS = ("fidh", "kibhr")
BITS = [8 * SALT.start, 8 * SALT.start + 7, 8 * SALT.stop - 1]
"""The first and the last of the salt, and one between."""


def test_a_changed_salt_is_no_tip_for_others(line: TipLine) -> None:
    """Over HTTP, to two desks at once: each says that they were changed."""
    sent = line.source().send("Here is what I saw.")
    shared = Captured(line.desks["ili"]).collect(line.export("ili"))[sent.id]
    for name in DESKS:
        line.carry(name)  # all that came before
    for bit in BITS:
        upload(line.server, flipped(shared, bit))
    outcomes = {name: Counter(line.carry(name).json["outcomes"]) for name in DESKS}

    assert {name: (found["tampered"], found["not-for-you"]) for name, found in outcomes.items()} == dict.fromkeys(
        DESKS, (len(BITS), 0)
    )


def test_a_changed_salt_on_a_stick_is_told(line: TipLine) -> None:
    sent = line.source().send("Here is what I saw, on a stick.")
    shared = Captured(line.desks["ili"]).collect(line.export("ili"))[sent.id]
    stick = line.scratch("stick") / "changed.tip"
    stick.write_bytes(flipped(shared, BITS[0]))
    done = line.desks["fidh"].take(stick)

    assert [problem["error"] for problem in done.json["problems"]] == ["tampered"]
    assert done.code == 3
