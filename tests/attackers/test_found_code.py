"""A source's note is found, with its code and the check digits of a call, and the server is seized.

B, which the source addressed too, works with whoever found it. Which of the Envelopes is the source's, and to whom?
"""

from __future__ import annotations

import pytest

from attackers.people import TipLine
from attackers.toolkit import Captured, carry_check_digits, files_with


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

    assert [reply["text"] for reply in source.inbox("--delete")] == ["Please meet us."]

    assert files_with(line.server, address) == []
