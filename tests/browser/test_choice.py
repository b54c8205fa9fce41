"""The choice of organisations holds, and nobody can see it from outside."""

from __future__ import annotations

from browser.pages import Source
from support.world import NAMES, World

CHOICES = (("fidh",), ("fidh", "kibhr"))  # one organisation reads nothing at all


def test_only_those_chosen_can_read_and_all_acknowledge_alike(teller: Source, world: World) -> None:
    for chosen in CHOICES:
        teller.open_form()
        assert set(teller.organisations()) == world.accepted()
        teller.write("for " + " and ".join(chosen))
        teller.choose_only(*(NAMES[name][0] for name in chosen))
        teller.send()
        teller.wait_stored()
        assert set(teller.checks()) == {NAMES[name][0] for name in chosen}

    for name in world.ring.names:
        read = {tip.message.decode() for tip in world.arrived(name)}
        assert read == {"for " + " and ".join(chosen) for chosen in CHOICES if name in chosen}

    # Each carried both, and says so in the same way: after the third the server has nothing left.
    assert world.server.run("status", "--json").json["envelopes"] != "0"
    bundles = world.answer(*world.ring.names)
    assert len({path.stat().st_size for path in bundles}) == 1
    assert world.server.run("status", "--json").json["envelopes"] == "0"


def test_nobody_chosen_is_refused(source: Source) -> None:
    source.open_form()
    source.write("Для никого")
    source.choose_only()
    source.wire.forget()
    source.send()
    source.browser.until(source.problem, "a complaint")
    assert "organisation" in source.problem()
    assert source.wire.seen() == []
