"""Who may open an upload: the price by the buckets, the proof, the queue (docs/protocol.md, section 3.2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from tipbox.formats import toll
from tipbox.formats.envelopes.header import Header
from tipbox.server.config import Config
from tipbox.server.refusal import Refusal
from tipbox.server.storage.executors import Threads
from tipbox.server.uploads.buckets import Buckets, Charge
from tipbox.server.uploads.cells import Cells, Held
from tipbox.server.uploads.openings import Openings
from tipbox.server.uploads.price import PATIENCE, Place, Prices, Queue, Tolls, price_of, price_of_bytes

AGAIN: Final = 20.0
"""Seconds for which an opening that was dropped from its queue does not come back: whoever has many proofs and asks
without end would otherwise have all others dropped, however long they have waited."""
ABSENT: Final = PATIENCE + 2 * AGAIN
"""Seconds after which one that did not ask again has waited for nothing; clients ask again within half a minute."""
PASSED_ON: Final = AGAIN
"""Seconds after which an opening that waits, or whose body does not come, gives its place to a newer request with the
same proof: the connection of the old one may be lost, of which nobody is told. Not sooner: whoever shows one proof to
all workers in turn would have others dropped from each queue that it joins."""
_HANDOVER: Final = 5.0
"""Seconds more for which the newer one waits: what the old one has begun to write, it writes."""
_MOST_DROPPED: Final = 10_000
"""Openings that are remembered for that, by the hash of their token; then the first of them is forgotten."""
POLL: Final = 0.1
"""Seconds between two looks at the buckets while openings wait."""
_FREE: Final = Held(lambda: False, was_passed_on=False)
"""What an opening holds that pays nothing: any number of them may come."""


@dataclass(frozen=True)
class Clocks:
    """``now``: seconds that never go back, the same for all workers; ``date``: seconds since 1970."""

    now: Callable[[], float] = time.monotonic
    date: Callable[[], float] = time.time


@dataclass(frozen=True)
class Payment:
    """What an opening brings: the header ``Tipbox-Toll``, and the circuit by which it came.

    ``by_tor``: whether Tor named that circuit. Elsewhere it is a connection, of which another one costs nothing.
    """

    written: str | None = field(default=None, repr=False)
    circuit: str = field(default="", repr=False)
    by_tor: bool = False


@dataclass(frozen=True)
class Looks:
    """Looks at what is here, made when they matter.

    ``is_known``: whether the token has opened an upload before, which never pays again. ``must_fit``: raises what the
    opening will be refused with, as far as that is known before it has come.
    """

    is_known: Callable[[], bool]
    must_fit: Callable[[], None]


@dataclass
class Admission:
    """An opening that was let in: the class of what was paid for it, and whether anything came of it.

    ``gives_way``: whether a newer request has come in the place of this one.
    """

    effort: int = 0
    used: bool = False
    gives_way: Callable[[], bool] | None = None


class Gate:
    """Lets openings in.

    Args:
        config: the configured rates.
        threads: where to wait.
        cells: memory that all workers share.
        clocks: what time it is.
    """

    def __init__(
        self, config: Config, threads: Threads, cells: Cells | None = None, clocks: Clocks | None = None
    ) -> None:
        quota, cells, clocks = config.quota, cells or Cells(), clocks or Clocks()
        self.openings = Openings(cells, config.limits.openings, clocks.now)
        self.buckets = Buckets(quota, cells, clocks.now)
        self._cells = cells
        self._tolls = Tolls(cells.key, clocks.date)
        self._now = clocks.now
        self._threads = threads
        self._letters, self._long, self._files = Queue(), Queue(), Queue()
        self._dropped: dict[bytes, float] = {}
        self._asked: dict[bytes, tuple[float, float]] = {}
        """When the proof of a token was first shown, and when last, while it waits for a place."""

    def forget(self) -> None:
        """Drop what has had its time."""
        self.openings.forget()
        self._tolls.forget()
        now = self._now()
        self._dropped = {token: second for token, second in self._dropped.items() if now - second < AGAIN}
        self._asked = {token: when for token, when in self._asked.items() if now - when[1] < ABSENT}

    def to_json(self, room: int) -> dict[str, Any]:
        """What ``GET /api/toll`` answers; ``room``: bytes of disk that texts may still take."""
        return self._tolls.to_json(Prices(*map(price_of, self.buckets.fills(room))))

    @contextmanager
    def admitted(self, token: bytes, header: Header, payment: Payment, room: int, looks: Looks) -> Iterator[Admission]:
        """Let an opening in; what it took is put back unless the caller says that it was ``used``.

        Args:
            token: SHA-256 of the draft token.
            header: of the Envelope.
            payment: what came with it.
            room: bytes of disk that texts may still take.
            looks: at what is here.

        Raises:
            Malformed: the proof is misspelt.
            Refusal: ``toll``, ``slow-down``; ``full`` when it will not fit soon; what ``looks`` raise.
        """
        charge = Charge.of(header)
        price, admission = self.price(charge, room), Admission()
        counted = payment.circuit if payment.by_tor else ""
        has_left = self.openings.take(counted)
        try:
            # Asked only when it matters: else what a known one takes is put back below. Of files that is much.
            if (price or charge.drafts or not has_left) and looks.is_known():
                yield admission
                return
            if not has_left:
                raise Refusal("slow-down")
            # What finds no room is told so before it pays.
            if not self.buckets.fits_soon(charge):
                raise Refusal("full")
            if price:
                looks.must_fit()
            # Else one proof would have a place for each connection that shows it, and take for each of them.
            with self._cells.once(token, self._patience()) if price else nullcontext(_FREE) as held:
                if held is None:
                    raise Refusal("slow-down")
                if held.was_passed_on and looks.is_known():  # the older one came to its end
                    yield admission
                    return
                admission.gives_way = self._gives_way(held) if price else None
                effort = self._tolls.paid(payment.written, token, price) if price else 0
                if effort < price:
                    raise Refusal("toll", state=self.to_json(room) | {"price": price})
                circuit, enter = payment.circuit or token.hex(), partial(self.buckets.take, charge, room)
                since = self._since(token) if price else 0.0
                self._enter(charge, token, Place(effort, circuit, enter, charge.takes, since), admission)
                admission.effort = toll.class_of(effort)
                try:
                    yield admission
                finally:
                    if admission.used:
                        self._asked.pop(token, None)
                    else:
                        self.buckets.give_back(charge)
        finally:
            if has_left and not admission.used:
                self.openings.give_back(counted)

    def price(self, charge: Charge, room: int) -> int:
        """The effort that an opening costs now."""
        letters, long, files = self.buckets.fills(room, Charge(0, 0, 0, charge.announced))
        if charge.drafts:
            fill = min(files, long) if charge.long_bytes else files
            # By the byte: else one announcement would keep others' files out for a day, for a minute of a phone.
            return price_of_bytes(fill, self.buckets.dear(charge))
        return price_of(long if charge.long_bytes else letters)

    def _since(self, token: bytes) -> float:
        """When the proof of a token was first shown: who did not go on asking since then begins anew."""
        now = self._now()
        first, last = self._asked.pop(token, (now, now))
        if now - last >= ABSENT:
            first = now
        if len(self._asked) >= _MOST_DROPPED:
            del self._asked[next(iter(self._asked))]
        self._asked[token] = first, now
        return first

    def _patience(self) -> Callable[[], bool]:
        """How one waits for the place of an older request with the same proof."""
        end = self._now() + PASSED_ON + _HANDOVER

        def wait() -> bool:
            self._threads.sleep(POLL)
            return self._now() < end

        return wait

    def _gives_way(self, held: Held) -> Callable[[], bool]:
        begun = self._now()
        return lambda: self._now() - begun >= PASSED_ON and held.is_wanted()

    def _enter(self, charge: Charge, token: bytes, place: Place, admission: Admission) -> None:
        """Take what it takes, or wait for it."""
        queue = self._files if charge.drafts else self._long if charge.long_bytes else self._letters
        now = self._now()
        if now - self._dropped.get(token, float("-inf")) < AGAIN:
            raise Refusal("slow-down")
        end = now + PATIENCE
        queue.join(place)
        try:
            while True:
                queue.serve(self._now())
                if place.entered:
                    return
                if place.dropped:
                    self._drop(token)
                if place.dropped or self._now() >= end or (admission.gives_way and admission.gives_way()):
                    raise Refusal("slow-down")
                self._threads.sleep(POLL)
        finally:
            queue.leave(place)

    def _drop(self, token: bytes) -> None:
        if len(self._dropped) >= _MOST_DROPPED:
            del self._dropped[next(iter(self._dropped))]
        self._dropped[token] = self._now()
