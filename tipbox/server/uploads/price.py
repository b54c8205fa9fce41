"""What an opening costs, and who comes first when more want in than the buckets give (docs/protocol.md, 3.2)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import ge
from typing import Any, Final

from tipbox.formats import toll
from tipbox.formats.base.fields import to_base64
from tipbox.formats.toll import Proof

FREE: Final = 0.5
"""A bucket that is at least so full asks nothing."""
FAILURES: Final = 2
"""False proofs of one token that are looked at; more are refused unseen, or fifteen solved puzzles would cost each time
as much as sixteen."""
_MOST_FAILED: Final = 10_000
"""Tokens that are remembered for that, 32 bytes each; then the first of them is forgotten."""
WAITING: Final = 200
"""Openings that wait in a worker."""
PATIENCE: Final = 60.0
"""Seconds for which one waits; a client hears after 90 that it has to ask again."""
_LOOK: Final = 0.05
"""Seconds between two looks at the buckets, however many wait."""
LOT: Final = 2
"""One in this many places goes by lot among the circuits that wait: nobody is outbid for good. With one in five, who
held 1,000 circuits in the lot at the price, and outbid the rest over a few more kept a source out for 20 minutes."""
_CHANCES: Final = 3
"""A circuit has as many chances in the lot as this power of the seconds that it has waited. With one chance each, those
that come and are dropped all the time had most of them between them, and a source lost its own by being dropped."""


def price_of(fill: float) -> int:
    """The effort that an opening costs when the bucket is so full, 0 to 1.

    It is the highest of its class: whoever asks sees no more of how full a bucket is than a desk sees of what was paid.
    """
    return toll.most_of_class(_effort(fill))


def price_of_bytes(fill: float, times: float) -> int:
    """The effort of an announcement that counts so many times; one at least."""
    return toll.most_of_class(_effort(fill) * times)


def _effort(fill: float) -> float:
    return 0 if fill >= FREE else toll.rung(toll.ASKED ** (1 - 2 * max(0.0, fill)))


@dataclass(frozen=True)
class Prices:
    """What openings cost now: of common letters, of long ones, and of Envelopes with files."""

    letter: int
    long: int
    files: int


class Tolls:
    """Seeds, and proofs that are looked at.

    Args:
        key: 32 random bytes, the same for all workers.
        clock: seconds since 1970.
    """

    def __init__(self, key: bytes, clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock
        self._failed: dict[bytes, int] = {}
        self._failed_in = 0

    @property
    def hour(self) -> int:
        """The hour, since 1970."""
        return int(self._clock() // toll.HOUR)

    def to_json(self, prices: Prices) -> dict[str, Any]:
        """What ``GET /api/toll`` answers: the same bytes for everybody at a moment."""
        hour = self.hour
        seed = to_base64(toll.seed_of(self._key, hour)).replace("+", "-").replace("/", "_").rstrip("=")
        return {"files": prices.files, "hour": hour, "letter": prices.letter, "long": prices.long, "seed": seed}

    def paid(self, written: str | None, token: bytes, price: int) -> int:
        """The effort that a proof shows for the upload of a token (its SHA-256); 0 when it does not pay the price.

        Raises:
            Malformed: it is misspelt.
        """
        if not written:
            return 0
        proof = Proof.parse(written)
        hour = self.hour
        if proof.hour not in {hour, hour - 1} or proof.effort < price or self._has_failed(token):
            return 0
        # From a random one on: whoever solved most of them must not know which of them is looked at last.
        begin = secrets.randbelow(toll.PUZZLES)
        order = [(begin + step) % toll.PUZZLES for step in range(toll.PUZZLES)]
        password = toll.password_of(toll.seed_of(self._key, proof.hour), token)
        if proof.holds(password, order):
            return proof.effort
        if len(self._failed) >= _MOST_FAILED and token not in self._failed:
            # The oldest: else whoever fails with so many tokens is looked at for all others of the hour.
            del self._failed[next(iter(self._failed))]
        self._failed[token] = self._failed.get(token, 0) + 1
        return 0

    def forget(self) -> None:
        """Forget whose proofs were false in an hour that has passed."""
        if self.hour != self._failed_in:
            self._failed.clear()
            self._failed_in = self.hour

    def _has_failed(self, token: bytes) -> bool:
        self.forget()
        return self._failed.get(token, 0) >= FAILURES


@dataclass(eq=False)
class Place:
    """An opening that waits: what it paid, for which circuit, and how it is let in."""

    effort: int
    circuit: str
    enter: Callable[[], bool] = field(repr=False)
    """Takes what it takes of the buckets; whether there was enough."""
    takes: tuple[int, ...] = ()
    """How much that is of each bucket."""
    since: float = 0.0
    """The second when its proof was first shown: who was dropped, or waited in vain, goes on waiting from then."""
    entered: bool = False
    dropped: bool = False


class Queue:
    """Openings of one kind that paid and wait for the bucket: highest effort first, and half by lot.

    Args:
        draw: who is drawn of so many; ``secrets.randbelow`` but in tests.
    """

    def __init__(self, draw: Callable[[int], int] = secrets.randbelow, most: int = WAITING) -> None:
        self._waiting: list[Place] = []
        self._draw = draw
        self._most = most
        self._served = 0
        self._looked = float("-inf")

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, place: Place) -> None:
        """Wait; when too many do, somebody is dropped."""
        self._waiting.append(place)
        if len(self._waiting) > self._most:
            dropped = self._superfluous()
            dropped.dropped = True
            self._waiting.remove(dropped)

    def leave(self, place: Place) -> None:
        """Wait no longer."""
        if place in self._waiting:
            self._waiting.remove(place)

    def serve(self, now: float) -> None:
        """Let in whom the buckets have room for; ``now``: seconds that never go back."""
        if now - self._looked < _LOOK:
            return
        while self._waiting:
            by_lot = self._served % LOT == LOT - 1
            order = self._lot(now) if by_lot else self._ranked()
            place = self._first(order)
            if place is None:
                self._looked = now
                return
            place.entered = True
            self._waiting.remove(place)
            self._served += 1

    @staticmethod
    def _first(order: Iterable[Place]) -> Place | None:
        """Who enters: the first that finds room, so that large ones ahead hold up no small one behind them."""
        refused: list[tuple[int, ...]] = []
        for place in order:
            # What takes as much as one that found no room is not tried.
            if any(all(map(ge, place.takes, takes)) for takes in refused):
                continue
            if place.enter():
                return place
            refused.append(place.takes)
        return None

    def _ranked(self) -> list[Place]:
        """Highest effort first, and who came first before the others (sorting is stable)."""
        return sorted(self._waiting, key=lambda place: -place.effort)

    def _lot(self, now: float) -> Iterator[Place]:
        """Of each circuit the one that has waited longest, drawn one after the other: the longer, the likelier."""
        oldest = [min(places, key=lambda place: place.since) for places in self._by_circuit().values()]
        chances = [(1 + max(0, int(now - place.since))) ** _CHANCES for place in oldest]
        while oldest:
            drawn, number = self._draw(sum(chances)), 0
            while drawn >= chances[number]:
                drawn -= chances[number]
                number += 1
            chances.pop(number)
            yield oldest.pop(number)

    def _by_circuit(self) -> dict[str, list[Place]]:
        found: dict[str, list[Place]] = {}
        for place in self._ranked():
            found.setdefault(place.circuit, []).append(place)
        return found

    def _superfluous(self) -> Place:
        """The worst of the circuit that has most; when each has one, any of the half that has waited less.

        By effort a source would be outbid for good, and whoever fills the queue anew could have all others dropped.
        """
        most = max(self._by_circuit().values(), key=len)
        if len(most) > 1:
            return most[-1]
        middle = sorted(place.since for place in self._waiting)[len(self._waiting) // 2]
        late = [place for place in self._waiting if place.since >= middle]
        return late[self._draw(len(late))]
