"""Two organisations, or one and a seized server, compare what they have of a source."""

from __future__ import annotations

from attackers.people import TipLine
from attackers.toolkit import Captured, Seized


def test_two_vaults_do_not_show_that_a_source_wrote_to_both(line: TipLine) -> None:
    """Two tips under one code, each to one organisation: no value in one is in the other."""
    source = line.source()
    sent = {name: source.send(f"To {name} alone.", to=(name,)).id for name in ("ili", "kibhr")}
    values = []
    for name, tip in sent.items():
        captured = Captured(line.desks[name])
        values.append(captured.values(captured.collect(line.export(name))[tip]))

    assert values[0]
    assert values[1]
    assert not values[0] & values[1]


def test_a_vault_and_a_seized_server_do_not_show_who_else_was_addressed(line: TipLine) -> None:
    """A answers. B knows where its own replies would lie, and the server's folder says whose replies lie where."""
    source, attacker = line.source(), Captured(line.desks["ili"])
    sent = source.send("To fidh and ili.", to=("fidh", "ili"))
    known = attacker.values(attacker.collect(line.export("ili"))[sent.id])
    line.carry("fidh")
    line.desks["fidh"].reply(sent.id, "Thank you.")
    line.answer("fidh")
    holds_replies = Seized.copy(line.server, line.scratch("seized")).mailboxes_of(Captured(line.desks["fidh"]).id)

    assert holds_replies
    assert not known & holds_replies


def test_two_that_were_sent_one_tip_see_that_both_have_it(line: TipLine) -> None:
    """It is the same letter; of the source they share nothing but that."""
    sent = line.source().send("To ili and kibhr.", to=("ili", "kibhr"))
    opened = {}
    for name in ("ili", "kibhr"):
        captured = Captured(line.desks[name])
        opened[name] = captured.open(captured.collect(line.export(name))[sent.id])
    one, other = opened.values()

    assert (one.letter, one.slot.content_key) == (other.letter, other.slot.content_key)
    for own in ("pair_key", "mailbox", "seal_secret"):
        assert getattr(one.slot, own) != getattr(other.slot, own)


def test_one_tip_to_both_ties_the_others_together(line: TipLine) -> None:
    """Each has the later ones in the thread of the tip that both have."""
    source = line.source()
    shared = source.send("To both.", to=("ili", "kibhr")).id
    for name in ("ili", "kibhr"):
        source.send(f"To {name} alone.", to=(name,))
    for name in ("ili", "kibhr"):
        line.carry(name)

        assert sorted(line.desks[name].says_the_source(shared)) == sorted(["To both.", f"To {name} alone."])
