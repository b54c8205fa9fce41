"""Two organisations that got one tip are asked when: neither can be made a liar by the other's day."""

from __future__ import annotations

from datetime import timedelta

import pytest

from attackers.people import TipLine
from tipbox.formats.base import days


def test_two_desks_give_one_tip_the_same_day(line: TipLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second desk imports what was exported on the same day three days later."""
    sent, today = line.source().send("Last night.", to=("ili", "kibhr")), days.today()
    volumes = {name: line.export(name) for name in ("ili", "kibhr")}
    line.desks["ili"].take(*volumes["ili"])
    monkeypatch.setattr(days, "today", lambda: today + timedelta(days=3))
    line.desks["kibhr"].take(*volumes["kibhr"])
    shown = {name: tip["received"] for name in volumes for tip in line.desks[name].tips() if tip["id"] == sent.id}

    assert shown["ili"] == shown["kibhr"]
