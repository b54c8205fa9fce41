"""A reply in the place of a tip, and a tip in the place of a reply: the server, which has no keys, tells them apart."""

from __future__ import annotations

import json
from pathlib import Path

from attackers.people import TipLine, tipbox
from attackers.toolkit import Captured, Seized, address_of, reply_as_tip, upload


def test_intake_takes_no_reply(line: TipLine) -> None:
    status, answer = upload(line.server, reply_as_tip("A reply, handed in as a tip."))

    assert status == 400
    assert json.loads(answer)["error"] == "malformed"


def test_a_desk_takes_no_reply(line: TipLine, tmp_path: Path) -> None:
    """Not from a stick either."""
    (tmp_path / "x.tip").write_bytes(reply_as_tip("A reply, brought as a tip."))
    done = line.desks["kibhr"].take(tmp_path / "x.tip")

    assert [problem["error"] for problem in done.json["problems"]] == ["malformed"]
    assert done.json["outcomes"] == {}


def test_an_inbox_shows_no_tip(line: TipLine, tmp_path: Path) -> None:
    """B puts a tip into the mailbox of a source that wrote to it, sealed so that the source could open it."""
    source, attacker = line.source(), Captured(line.desks["ili"])
    sent = source.send("To ili.", to=("ili",))
    line.carry("ili")
    shared = attacker.collect(line.export("ili"))[sent.id]
    line.bring_back(attacker.put_a_tip_into_the_mailbox(shared, "No reply.", tmp_path / "ili.bundle"))

    assert source.inbox() == []


def test_a_mailbox_takes_no_tip(line: TipLine, tmp_path: Path) -> None:
    """A source's `.tip` in an inward Bundle: reported, and in no mailbox."""
    attacker, keys, message = Captured(line.desks["ili"]), tmp_path / "keys", tmp_path / "message"
    line.carry("ili")  # its desk knows the server now
    keys.mkdir()
    (keys / "kibhr.json").write_bytes((line.keys / "kibhr.json").read_bytes())
    message.write_text("For kibhr.")
    tipbox("seal", "--keys", keys, "--message-file", message, "--out", tmp_path / "x.tip")
    address = address_of(Captured(line.desks["kibhr"]).id)
    bundle = attacker.deliver(address, (tmp_path / "x.tip").read_bytes(), tmp_path / "ili.bundle")
    (taken,) = line.bring_back(bundle)

    assert [one["error"] for one in taken["returned"]] == ["malformed"]
    assert address not in Seized.copy(line.server, line.scratch("seized")).mailboxes_of(attacker.id)
