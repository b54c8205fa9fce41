"""Whoever takes the server's disk, with its keys: which tips are one source's, and what the keys open."""

from __future__ import annotations

from attackers.people import TipLine
from attackers.toolkit import Captured, Seized, shared_bytes, words_opened


def test_two_tips_of_one_source_have_nothing_in_common(line: TipLine) -> None:
    """No more than two of different sources have: the outer form, and whom and to which keys the slots are for."""
    source = line.source()
    sent = [one.send("About the same thing.", to=("fidh",)).id for one in (source, source, line.source())]
    tips = Seized.copy(line.server, line.scratch("seized")).tips()
    first, second, stranger = (tips[one] for one in sent)

    assert shared_bytes(first, second) == shared_bytes(first, stranger)
    assert Captured(line.desks["ili"]).id in shared_bytes(first, second), "the control: what is common is found"


def test_the_server_s_keys_open_no_tip_and_no_reply(line: TipLine) -> None:
    source = line.source()
    sent = source.send("Not for servers.", to=("fidh",))
    line.carry("fidh")
    line.desks["fidh"].reply(sent.id, "Nor is this.")
    line.answer("fidh")
    seized = Seized.copy(line.server, line.scratch("seized"))
    keys = {seized.keys.seed, seized.keys.signing.encode()}

    assert sent.id in seized.openings()
    assert len(seized.replies()) > 0
    assert words_opened([*seized.openings().values(), *seized.replies()], keys) == set()
