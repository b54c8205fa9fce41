"""Paying the toll of an opening (docs/protocol.md, section 3.2): the search, and when a source is asked first."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Self

from tipbox.errors import Full, NetworkFailed
from tipbox.formats import toll
from tipbox.formats.base.limits import HASH_SIZE
from tipbox.formats.base.primitives import random_bytes

_NO_SENSE: Final = "sending: the server asks for work in words that make no sense; is this the address of a tipbox?"
_LARGEST_HOUR: Final = 10**10
MOST_SEARCHES: Final = 3
"""How often a server may ask anew for one upload in an hour, but for a price that rose: seeds change with the hour and
with a restart, and one that asks again and again lies."""

Bar = AbstractContextManager[Callable[[int], None]]


@dataclass(frozen=True)
class Quote:
    """What a server asks of one opening."""

    hour: int
    seed: bytes
    price: int

    @classmethod
    def parse(cls, answer: bytes) -> Self:
        """The members of an answer ``toll``.

        Raises:
            NetworkFailed: they make no sense.
        """
        try:
            value: dict[str, Any] = json.loads(answer)
            hour, price = value["hour"], value["price"]
            seed = base64.urlsafe_b64decode(f"{value['seed']}=")
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
            raise NetworkFailed(_NO_SENSE) from error
        if type(hour) is not int or not 0 <= hour < _LARGEST_HOUR or len(seed) != HASH_SIZE:
            raise NetworkFailed(_NO_SENSE)
        if type(price) is not int or price not in toll.LADDER or not price:
            raise NetworkFailed(_NO_SENSE)
        return cls(hour, seed, price)


def _nothing(_: int) -> Bar:
    return nullcontext(lambda _: None)


class Payer:
    """Pays for one upload.

    Args:
        agrees: asks the source whether to pay an effort above ASKED, in seconds of a phone; False by default.
        bar: a progress bar of so many steps.
        now: seconds that never go back.
    """

    def __init__(
        self,
        agrees: Callable[[int], bool] = lambda _: False,
        bar: Callable[[int], Bar] = _nothing,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._agrees = agrees
        self._bar = bar
        self._agreed = toll.ASKED
        self.begin_again()

    def begin_again(self) -> None:
        """For another upload: a token of its own."""
        self.token = random_bytes(HASH_SIZE)
        self._solver: tuple[bytes, toll.Solver] | None = None
        self._paid = 0
        self._begun: list[float] = []

    def pay(self, quote: Quote) -> str:
        """The value of the header for what a server asks.

        Raises:
            Full: it asks for more than the source agrees to, or again and again.
        """
        if quote.price > self._agreed:
            if not self._agrees(quote.price):
                raise Full(
                    f"sending: very many send now, and the server asks for {quote.price} seconds of a phone's work; "
                    "come back in an hour, or send from a terminal and agree to it"
                )
            self._agreed = quote.price
        solver = self._for(quote)
        self._paid = quote.price
        with self._bar(toll.PUZZLES) as step:
            return solver.solve(quote.hour, quote.price, lambda _: step(1)).encode()

    def _for(self, quote: Quote) -> toll.Solver:
        """The search that goes on, or another one."""
        known = self._solver is not None and self._solver[0] == quote.seed
        if self._solver is None or not known or quote.price <= self._paid:  # and not only because the price rose
            now = self._now()
            self._begun = [began for began in self._begun if now - began < toll.HOUR]
            if len(self._begun) >= MOST_SEARCHES:
                raise Full("sending: the server asks for work again and again and takes none of it; come back later")
            self._begun.append(now)
        if self._solver is None or not known:
            self._solver = quote.seed, toll.Solver(quote.seed, self.token)
        return self._solver[1]
