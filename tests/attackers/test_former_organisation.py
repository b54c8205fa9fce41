"""An organisation has left the server, or its manifests have run out: what it answered before is not lost.

Its reply lies in the mailbox. A source that takes the server's word for keys finds the organisation named no more.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attackers.people import TipLine, tipbox
from support.world import Ring, running_world
from tipbox.server.storage import organisations
from tipbox.server.storage.open_server import open_server


@pytest.fixture(name="line")
def _line(ring: Ring) -> Iterator[TipLine]:
    with running_world(ring, tcp=True) as made:
        yield TipLine(made)


def test_its_reply_is_read(line: TipLine) -> None:
    source, answer = line.source(), "Do not go home tonight."
    sent = source.send("They follow me.", to=("fidh",))
    line.carry("fidh")
    line.desks["fidh"].reply(sent.id, answer)
    line.answer("fidh")
    assert source.told_by("fidh") == [answer], "the control: with its manifest it is read"
    line.server.stop()
    (line.keys / "fidh.json").unlink()
    with open_server(line.server.home) as server:
        assert organisations.remove(server.home, server.store, "fidh")
    line.server.start()
    known = ("--trust-server-keys", "--passphrase-file", source.secret, "--json")
    replies = tipbox("source", "inbox", line.url, *known).json["replies"]

    assert [reply["text"] for reply in replies] == [answer]
