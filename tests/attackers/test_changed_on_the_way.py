"""A server, or whoever carries a stick, changes one bit of a tip. No desk that it was for calls it somebody else's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from attackers.people import TipLine, tipbox
from attackers.toolkit import SALT, Captured, flipped, upload
from tipbox.formats.base.primitives import random_bytes

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


def test_a_draft_token_spoils_that_draft_and_no_other(line: TipLine, tmp_path: Path) -> None:
    """Whoever has it sends other bytes first and finishes: the source is told "stored", and the desk says "changed"."""
    (tmp_path / "message").write_text("With a photo.", encoding="utf-8")
    (tmp_path / "photo.jpg").write_bytes(bytes(200_000))
    options = ("--message-file", tmp_path / "message", tmp_path / "photo.jpg", "--out", tmp_path / "x.tip")
    tipbox("seal", "--keys", line.keys, "--to", "fidh", *options)
    true, token = (tmp_path / "x.tip").read_bytes(), random_bytes(32)
    line.carry("fidh")  # all that came before
    upload(line.server, flipped(true, 8 * (len(true) - 10_000)), token)
    status, answer = upload(line.server, true, token)
    spoiled = Counter(line.carry("fidh").json["outcomes"])
    upload(line.server, true)
    other = Counter(line.carry("fidh").json["outcomes"])

    assert (status, json.loads(answer)) == (200, {"state": "stored"})
    assert (spoiled["tampered"], spoiled["mine"]) == (1, 0)
    assert (other["tampered"], other["mine"]) == (0, 1)
