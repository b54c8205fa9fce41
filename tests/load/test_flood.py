"""A flood of texts, in simulated time, against the real buckets, prices and queue: what it costs an honest source.

Work is in seconds of a phone: an opening of effort e costs e of them. What attackers are worth is measured in
docs/threat-model.md: a server's core 12 phones, 64 cores 800.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from tipbox.formats import toll
from tipbox.server.config import GB, Limits, Quota
from tipbox.server.uploads.buckets import DAY, Buckets, Charge
from tipbox.server.uploads.price import PATIENCE, Place, Queue, price_of

ROOM = 1000 * GB
TEXT = Charge(1, 0, 0, 0)
RATE = round(Quota().letters_per_second)
FLOOD = 10 * RATE
"""Openings a second: ten times what comes in for good."""
CORE, CORES = 12, 800


@dataclass
class World:
    """A server and its clock."""

    seconds: float = 0.0
    paid: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.buckets = Buckets(Quota(), now=lambda: self.seconds)
        self.buckets.fills(ROOM)
        self.seconds += DAY

    @property
    def price(self) -> int:
        return price_of(self.buckets.fills(ROOM)[0])

    def flood(self, phones: float, seconds: int, circuits: int) -> None:
        """Attackers pay the price with all that they have, no more than FLOOD times a second.

        They keep so many circuits at a time, and each is new once its openings are used up: the most that Tor's own
        price lets them have.
        """
        stock = 0.0
        for _ in range(seconds):
            self.seconds += 1
            price = self.price
            self.paid.append(price)
            stock = min(stock + phones, 7200 * phones)
            most = min(FLOOD, Limits().openings * circuits)
            count = most if not price else min(most, int(stock / price))
            stock -= count * price
            fits = max(0, int(self.buckets.fills(ROOM)[0] * Quota().letters_burst))
            if count := min(count, fits):
                assert self.buckets.take(Charge(count, 0, 0, 0), ROOM)


@pytest.mark.parametrize(("circuits", "phones"), [(1, 1), (1, CORE), (10, 100), (100, CORES), (1000, 1000)])
def test_a_source_pays_at_most_a_minute_of_a_phone_and_nothing_an_hour_later(circuits: int, phones: int) -> None:
    world = World()
    world.flood(phones, 7200, circuits)
    curve = world.paid[::600]
    print(f"{circuits:>5} circuits, {phones:>5} phones: effort every ten minutes {curve}, at the end {world.price}")  # noqa: T201 (the curve is what this is read for)

    assert max(world.paid) <= toll.ASKED
    world.seconds += 3600
    assert world.price == 0


def test_the_price_settles_where_the_flood_cannot_pay_more() -> None:
    """W / r: attackers with a hundred phones against five openings a second meet an effort of about twenty."""
    world = World()
    world.flood(100, 3 * 3600, 100)
    last = world.paid[-1800:]

    assert 0.5 * 100 / RATE <= sum(last) / len(last) <= 2 * 100 / RATE


@dataclass
class Outbidding:
    """64 cores that pay ``effort`` for each place, over some circuits; and a source every half a minute."""

    circuits: int
    effort: int
    seed: int
    waited: list[float] = field(default_factory=list)

    def run(self, seconds: int) -> None:
        """Waits of the sources that came, in seconds from when they had paid."""
        draw = random.Random(self.seed)
        world, queue = World(), Queue(draw.randrange)
        assert world.buckets.take(Charge(Quota().letters_burst, 0, 0, 0), ROOM)
        places: list[tuple[Place, float]] = []
        sources: dict[str, tuple[float, Place | None, float]] = {}
        stock = 0.0

        def join(effort: int, circuit: str, since: float) -> Place:
            place = Place(effort, circuit, lambda: world.buckets.take(TEXT, ROOM), since=since)
            queue.join(place)
            return place

        for second in range(seconds + 600):
            world.seconds += 1
            stock += CORES
            # What was dropped or waited in vain asks again with the same proof.
            again = [one for one, since in places if one.dropped or (not one.entered and second - since >= PATIENCE)]
            places = [(one, since) for one, since in places if not one.entered and one not in again]
            for one in again:
                queue.leave(one)
            while stock >= self.effort and len(again) < 2 * RATE:
                stock -= self.effort
                again.append(Place(self.effort, f"a{draw.randrange(self.circuits)}", bool, since=world.seconds))
            places += [(join(one.effort, one.circuit, one.since), second) for one in again[: 4 * RATE]]
            if second < seconds and second % 30 == 0:
                sources[f"s{second}"] = second, None, second
            for name, (begun, place, since) in [*sources.items()]:
                if place is not None and place.entered:
                    self.waited.append(second - begun)
                    del sources[name]
                elif place is None or place.dropped or second - since >= PATIENCE:
                    if place is not None:
                        queue.leave(place)
                    sources[name] = begun, join(toll.ASKED, name, world.seconds - second + begun), second
            queue.serve(world.seconds)
        self.waited += [float("inf")] * len(sources)


@pytest.mark.parametrize(
    ("circuits", "effort", "seed"),
    [
        (1, 150, 1),
        (10, 150, 10),
        (100, 150, 100),
        *((1000, 150, seed) for seed in range(3)),
        (1000, 90, 0),
        (1000, 60, 0),
    ],
)
def test_against_64_cores_that_outbid_everybody_a_source_gets_in_within_ten_minutes(
    circuits: int, effort: int, seed: int
) -> None:
    attack = Outbidding(circuits, effort, seed)
    attack.run(600)
    waits = sorted(attack.waited)
    print(f"{circuits:>5} circuits at effort {effort}: waits of {len(waits)} sources {waits}")  # noqa: T201 (the curve is what this is read for)

    assert waits[-1] <= 600


@dataclass
class Holding:
    """64 cores that hold circuits in the lot at the price, and outbid everybody over a few more; and sources."""

    circuits: int
    outbidding: int
    effort: int
    seed: int = 0
    waited: list[float] = field(default_factory=list)

    def run(self, seconds: int, warm: int) -> None:
        """Waits of the sources that came after ``warm`` seconds, in seconds from when they had paid."""
        draw = random.Random(self.seed)
        world, queue = World(), Queue(draw.randrange)
        assert world.buckets.take(Charge(Quota().letters_burst, 0, 0, 0), ROOM)
        waiting: dict[str, tuple[Place, float]] = {}
        """By circuit, with the second of its last request."""
        again: dict[str, tuple[float, Place]] = {}
        begun: dict[str, float] = {}
        efforts = dict.fromkeys((f"held {one}" for one in range(self.circuits)), toll.ASKED)
        efforts |= dict.fromkeys((f"outbidding {one}" for one in range(self.outbidding)), self.effort)
        unpaid = sorted(efforts, key=efforts.__getitem__, reverse=True)
        stock = 0.0

        def join(circuit: str, effort: int, since: float, second: float) -> None:
            place = Place(effort, circuit, lambda: world.buckets.take(TEXT, ROOM), since=since)
            queue.join(place)
            waiting[circuit] = place, second

        for second in range(seconds + 700):
            world.seconds += 1
            stock += CORES
            for circuit, (place, asked) in [*waiting.items()]:
                if place.entered:
                    del waiting[circuit]
                    if circuit in begun:
                        self.waited.append(second - begun.pop(circuit))
                    else:
                        unpaid.append(circuit)
                elif place.dropped or second - asked >= PATIENCE:
                    queue.leave(place)
                    del waiting[circuit]
                    again[circuit] = second + draw.randrange(1, 20), place
            for circuit, (when, place) in [*again.items()]:
                if second >= when:
                    del again[circuit]
                    join(circuit, place.effort, place.since, second)
            for circuit in sorted(unpaid, key=efforts.__getitem__, reverse=True):
                if stock < efforts[circuit]:
                    break
                stock -= efforts[circuit]
                unpaid.remove(circuit)
                join(circuit, efforts[circuit], world.seconds, second)
            if warm <= second < seconds and second % 30 == 0:
                begun[f"source {second}"] = second
                join(f"source {second}", toll.ASKED, world.seconds, second)
            queue.serve(world.seconds)
        self.waited += [float("inf")] * len(begun)


@pytest.mark.parametrize(("circuits", "effort"), [(940, 90), (300, 150)])
def test_who_holds_circuits_in_the_lot_and_outbids_the_rest_keeps_no_source_out(circuits: int, effort: int) -> None:
    attack = Holding(circuits, 60, effort)
    attack.run(1500, 1200)
    waits = sorted(attack.waited)
    print(f"{circuits:>5} circuits held, 60 at effort {effort}: waits of {len(waits)} sources {waits}")  # noqa: T201 (the figures are what this is read for)

    assert len(waits) == 10
    assert waits[-1] <= 600
