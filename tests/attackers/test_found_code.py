"""A source's note is found, with its code and the check digits of a call, and the server is seized.

B, which the source addressed too, works with whoever found it. Which of the Envelopes is the source's, and to whom?
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from attackers.people import TipLine
from attackers.toolkit import (
    Captured,
    Seized,
    carry_check_digits,
    files_with,
    keys_of,
    replies_in,
    words_opened,
)


@pytest.mark.parametrize("to", [("fidh",), ("fidh", "ili")], ids=["to-a", "to-a-and-b"])
def test_the_note_does_not_tell_which_envelope_is_for_a(line: TipLine, to: tuple[str, ...]) -> None:
    source, accomplice = line.source(), Captured(line.desks["ili"])
    sent = source.send("The one that is looked for.", to=to)
    for _ in range(2):
        line.source().send("Somebody else's.", to=("kibhr",))
    everything = accomplice.collect(line.export("ili"))

    assert sent.id in everything, "each desk carries all that has a slot for it, filled or not"
    fidh = Captured(line.desks["fidh"]).id
    assert carry_check_digits(source.code, fidh, sent.digits["fidh"], everything, accomplice) == set()


def test_what_a_source_deleted_is_in_no_byte_of_the_server(line: TipLine) -> None:
    """The folder is taken right after: the note opens what it finds there, and tells whose mailbox it was."""
    source, desk = line.source(), line.desks["ili"]
    sent = source.send("I saw it.", to=("ili",))
    line.carry("ili")
    desk.reply(sent.id, "Please meet us.")
    line.answer("ili")
    address = source.code.secrets().mailbox_address(Captured(desk).id)
    assert files_with(line.server, address)  # the control

    assert [reply["text"] for reply in source.inbox(delete=True)] == ["Please meet us."]

    assert files_with(line.server, address) == []


def test_the_finder_reads_every_reply_and_nothing_that_was_sent(line: TipLine) -> None:
    """With every byte of the server; a reply that the source has deleted opens as well, when somebody recorded it."""
    source, desk = line.source(), line.desks["fidh"]
    ids = [Captured(one).id for one in line.desks.values()]
    sent = source.send("What I saw.", to=("fidh",))
    line.carry("fidh")
    desk.reply(sent.id, "What did you see?")
    recorded = line.answer("fidh")
    seized = Seized.copy(line.server, line.scratch("seized"))
    keys = keys_of(source.code, ids)

    content_key = Captured(desk).open(seized.tips()[sent.id]).slot.content_key
    assert words_opened(seized.openings().values(), {content_key}) == {"What I saw."}, "the control: A's key opens it"
    assert words_opened(seized.openings().values(), keys) == set()
    assert words_opened(seized.replies(), keys) == {"What did you see?"}
    source.inbox(delete=True)
    later = Seized.copy(line.server, line.scratch("seized"))
    assert words_opened(later.replies(), keys) == set()
    assert words_opened(replies_in(recorded, later).values(), keys) == {"What did you see?"}


def test_the_finder_forges_both_sides(line: TipLine) -> None:
    """As the source with `source send`; as A with the help of any desk, into a mailbox that A has not written to."""
    source, desk, accomplice = line.source(), line.desks["fidh"], Captured(line.desks["ili"])
    sent = source.send("The first words.", to=("fidh",))
    line.carry("ili")
    finder = replace(line.source(), code=source.code)
    finder.secret.write_text(source.code.digits() + "\n", encoding="utf-8")
    finder.send("I take it back.", to=("fidh",))
    line.carry("fidh")
    secrets, fidh = source.code.secrets(), Captured(desk).id
    pair = secrets.mailbox_address(fidh), secrets.pair_key(fidh)
    line.bring_back(accomplice.write_into(*pair, "Bring the witness.", line.scratch("in") / "ili.bundle"))

    assert sorted(desk.says_the_source(sent.id)) == ["I take it back.", "The first words."]
    assert source.told_by("fidh") == ["Bring the witness."]


def test_with_an_addressee_the_finder_knows_the_tips_to_that_one(line: TipLine) -> None:
    """Their slots hold the pair key that comes of the code."""
    source, accomplice = line.source(), Captured(line.desks["ili"])
    sent = [one.send("To ili.", to=("ili",)).id for one in (source, line.source())]
    everything = accomplice.collect(line.export("ili"))
    pair_key = source.code.secrets().pair_key(accomplice.id)

    assert [accomplice.open(everything[one]).slot.pair_key == pair_key for one in sent] == [True, False]
