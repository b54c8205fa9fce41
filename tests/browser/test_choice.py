"""The choice of organisations holds, and nobody can see it from outside."""

from __future__ import annotations

from browser.pages import Source
from tipbox_world import NAMES, World


def test_an_organisation_that_was_unchecked_reads_nothing(teller: Source, world: World) -> None:
    teller.open_form()
    assert set(teller.organisations()) == world.accepted()
    teller.write("Только для двоих")
    teller.choose_only(NAMES["fidh"][0], NAMES["kibhr"][0])
    teller.send()
    teller.wait_stored()
    assert set(teller.checks()) == {NAMES["fidh"][0], NAMES["kibhr"][0]}

    for name in ("fidh", "kibhr"):
        [tip] = world.arrived(name)
        assert tip.message == "Только для двоих".encode()
    assert world.arrived("ili") == []


def test_desks_that_were_not_chosen_acknowledge_as_the_others(teller: Source, world: World) -> None:
    for chosen in ("fidh", "ili", "kibhr"):
        teller.open_form()
        teller.write(f"Nur für {chosen}")
        teller.choose_only(NAMES[chosen][0])
        teller.send()
        teller.wait_stored()

    for name in world.ring.names:
        [tip] = world.arrived(name)
        assert tip.message == f"Nur für {name}".encode()
    sizes = {path.stat().st_size for path in world.answer(*world.ring.names)}
    assert len(sizes) == 1
    # All three carried all three: the server has nothing left for anybody.
    for name in world.ring.names:
        world.carry(name)
        assert len(world.desks[name].tips()) == 1


def test_nobody_chosen_is_refused(source: Source) -> None:
    source.open_form()
    source.write("Für niemanden")
    source.choose_only()
    source.wire.forget()
    source.send()
    source.browser.until(source.problem, "a complaint")
    assert "organisation" in source.problem()
    assert source.wire.seen() == []
