"""Whoever runs the server, or has broken into it, while sources and desks use it."""

from __future__ import annotations

from collections import Counter

from attackers.people import TipLine
from attackers.toolkit import Captured, Seized, change_tag, empty, keys_of, look_into, words_opened
from tipbox.formats.base.primitives import sha256


def test_it_keeps_one_organisation_from_a_tip_and_no_other(line: TipLine) -> None:
    """One bit of the 32 bytes that are for A: A says that it was changed, and B has it whole."""
    names = ("fidh", "ili")
    for name in names:
        line.carry(name)  # all that came before
    sent = line.source().send("For two.", to=names)
    changed = change_tag(line.server, sent.id, Captured(line.desks["fidh"]).id)
    outcomes = Counter(line.carry("fidh").json["outcomes"])
    line.carry("ili")

    assert (outcomes["forged"], outcomes["mine"]) == (1, 0)
    assert not line.desks["fidh"].lists(changed)
    assert line.desks["ili"].says_the_source(changed) == ["For two."]
    assert sent.digits["ili"] in str(line.desks["ili"].tips()), "with the digits that the source reads out"


def test_with_an_addressee_it_learns_who_else_has_answered(line: TipLine) -> None:
    """The page asks for all its mailboxes at once; one of them is B's. Before A answers nothing is to be seen."""
    source, accomplice = line.source(), Captured(line.desks["ili"])
    ids = {name: Captured(desk).id for name, desk in line.desks.items()}
    sent = source.send("To fidh and ili.", to=("fidh", "ili"))
    own = accomplice.open(accomplice.collect(line.export("ili"))[sent.id]).slot.mailbox
    asked = {sha256(token) for token in source.code.secrets().mailbox_request(list(ids.values()))}

    def answered() -> set[str]:
        seized = Seized.copy(line.server, line.scratch("seized"))
        return {name for name, ident in ids.items() if own in asked and asked & seized.mailboxes_of(ident)}

    assert answered() == set()
    line.carry("fidh")
    line.desks["fidh"].reply(sent.id, "Thank you.")
    line.answer("fidh")
    assert answered() == {"fidh"}


def test_a_token_that_it_took_opens_a_mailbox_and_no_reply(line: TipLine) -> None:
    """It has all 32 tokens of a request, and every byte that it stores; it can empty the mailbox."""
    source, fidh = line.source(), Captured(line.desks["fidh"]).id
    sent = source.send("Who reads this?", to=("fidh",))
    line.carry("fidh")
    line.desks["fidh"].reply(sent.id, "We do.")
    line.answer("fidh")
    tokens = set(source.code.secrets().mailbox_request([fidh]))
    (opening,) = look_into(line.server, tokens).openings

    assert words_opened([opening], tokens | {sha256(token) for token in tokens}) == set()
    assert words_opened([opening], keys_of(source.code, [fidh])) == {"We do."}, "the control: with the code it opens"
    empty(line.server, tokens)
    assert source.inbox() == []


def test_asking_for_a_mailbox_leaves_nothing(line: TipLine) -> None:
    """Nobody wrote to the one source, and the other's reply is read twice: no row comes, goes or changes."""
    stranger, source = line.source(), line.source()
    sent = source.send("Are you there?", to=("fidh",))
    line.carry("fidh")
    line.desks["fidh"].reply(sent.id, "Yes.")
    line.answer("fidh")
    before = Seized.copy(line.server, line.scratch("seized")).tables()
    assert stranger.inbox() == []
    assert source.told_by("fidh") == source.told_by("fidh") == ["Yes."]

    assert Seized.copy(line.server, line.scratch("seized")).tables() == before
