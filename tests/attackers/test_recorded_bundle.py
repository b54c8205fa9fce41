"""A third party has recorded what a courier brought from a desk, and later gets the keys of the server."""

from __future__ import annotations

from attackers.people import TipLine
from attackers.toolkit import Captured, Seized, proved, replies_in
from tipbox.formats.manifest import Manifest


def test_a_recorded_bundle_proves_no_reply(line: TipLine) -> None:
    """What the desk signed names no reply: server and desk could both have made the list."""
    desk, source = line.desks["kibhr"], line.source()
    sent = source.send("Is anybody there?", to=("kibhr",))
    line.carry("kibhr")
    desk.reply(sent.id, "Yes. Where are you?")
    recorded = line.answer("kibhr")
    seized = Seized.copy(line.server, line.scratch("seized"))
    signed = proved(recorded, seized, Manifest.parse((line.keys / "kibhr.json").read_bytes()))
    replies = replies_in(recorded, seized)

    assert Captured(desk).id.hex().encode() in signed, "the control: the signature does cover who wrote the Bundle"
    assert len(replies) == 1
    assert not [one for one in replies if one.encode() in signed]


def test_with_the_server_s_keys_it_shows_which_reply_was_deleted(line: TipLine) -> None:
    """A seized server alone counts them: it keeps the hash of what was deposited, and not where it lay."""
    desk, source = line.desks["kibhr"], line.source()
    sent = source.send("Two questions.", to=("kibhr",))
    line.carry("kibhr")
    recorded = {}
    for text in ("One.", "Two."):
        desk.reply(sent.id, text)
        recorded[text] = line.answer("kibhr")
    before = Seized.copy(line.server, line.scratch("seized"))
    gone = set(replies_in(recorded["One."], before))
    assert gone < set(replies_in(recorded["Two."], before)), "each outbox repeats what no report has named"
    line.carry("kibhr")
    assert sorted(source.told_by("kibhr")) == ["One.", "Two."]
    source.inbox(delete=True)
    after = Seized.copy(line.server, line.scratch("seized"))

    assert len(before.deposits()) - len(before.replies()) + 2 == len(after.deposits()) - len(after.replies())
    assert set(replies_in(recorded["Two."], after)) <= after.deposits()
    assert not set(replies_in(recorded["Two."], after).values()) & set(after.replies())
