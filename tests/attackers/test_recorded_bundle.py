"""A third party has recorded what a courier brought from a desk, and later gets the keys of the server."""

from __future__ import annotations

from attackers.people import TipLine
from attackers.toolkit import Captured, Seized, proved, reply_hashes
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
    replies = reply_hashes(recorded, seized)

    assert Captured(desk).id.hex().encode() in signed, "the control: the signature does cover who wrote the Bundle"
    assert len(replies) == 1
    assert not [one for one in replies if one.encode() in signed]
