"""Rates: a budget per circuit for each kind of request, and one for all together. They slow, they never close.

On the onion service each circuit is an address (Tor's haproxy line), and the budgets of a circuit are counted by it.
On plain TCP a connection is a circuit of its own.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable
from typing import Final

from flask import Flask, request
from flask_limiter import ApplicationLimit, Limiter, RouteLimit
from limits import parse
from limits.strategies import FixedWindowRateLimiter

from tipbox.formats.base.primitives import sha256
from tipbox.server.config import Config
from tipbox.server.web.counts import SCHEME, Counts
from tipbox.server.web.worker_keys import CIRCUIT, LONGEST_WINDOW

_PREFIX: Final = "tipbox"
_ALL: Final = ("all", "global")
"""The key and the scope of the budget of all together."""


def circuit() -> str:
    """The key of all rates: the circuit of the connection."""
    return str(request.environ.get(CIRCUIT) or "")


def _host() -> str:
    """What tells the hosts that share a Valkey apart, and not their names."""
    return f"{sha256(socket.gethostname().encode()).hex()[:16]} "


def _no_circuit() -> bool:
    return not circuit()


class Rates:
    """The budgets of an application."""

    def __init__(self, app: Flask, config: Config) -> None:
        # Counts in memory are a worker's own: each allows its share of the budget.
        own = not config.limits.valkey
        self._share = config.server.workers if own else 1
        together = f"{max(1, config.limits.all_per_second // self._share)} per 1 second"
        self._together = parse(together)
        # Each tor numbers its circuits from small numbers on: of two hosts, one number is two sources.
        host = "" if own else _host()
        self._limiter = Limiter(
            lambda: host + circuit(),
            app=app,
            storage_uri=config.limits.valkey or f"{SCHEME}://",
            storage_options=config.limits.valkey_options,
            strategy="fixed-window",
            key_prefix=_PREFIX,
            headers_enabled=False,
            # A Valkey that is down must not close the server.
            in_memory_fallback_enabled=True,
            # Nor must one that goes while a request is answered have its source read that it failed.
            swallow_errors=True,
            application_limits=[
                # Counted when it is answered: else some circuits that ask above their own budgets would use it up.
                ApplicationLimit(together, key_function=lambda: _ALL[0], deduct_when=lambda _: self._had_budget())
            ],
        )
        # Its own would have the timer that Counts is there to avoid, and it takes no other by an argument.
        fallback = Counts()
        self._limiter._fallback_storage = fallback  # type: ignore[assignment]  # noqa: SLF001 (as said)
        self._limiter._fallback_limiter = FixedWindowRateLimiter(fallback)  # noqa: SLF001 (as said)

    def limit(self, per_minute: int) -> RouteLimit:
        """A decorator of views: at most ``per_minute`` requests of one circuit."""
        return self._limiter.limit(self._of_one(per_minute), exempt_when=_no_circuit)

    def _of_one(self, per_minute: int) -> str:
        return f"{max(1, per_minute // self._share)} per 1 minute"

    def counted(self, endpoint: str, per_minute: int) -> Callable[[str], bool]:
        """What counts a request past Flask as ``limit`` counts it there, in the same budgets.

        Returns:
            Given a circuit, whether both budgets allow one more. Never where they lie in Valkey: Flask-Limiter knows
            what to do when that is down.
        """
        each = parse(self._of_one(per_minute))

        def count(circuit: str) -> bool:
            if not isinstance(self._limiter.storage, Counts):
                return False
            counts = self._limiter.limiter
            return (
                counts.test(self._together, _PREFIX, *_ALL)
                and counts.hit(each, _PREFIX, circuit, endpoint)
                and counts.hit(self._together, _PREFIX, *_ALL)
            )

        return count

    def _had_budget(self) -> bool:
        breached = self._limiter.current_limit
        return breached is None or not breached.breached

    def forget(self) -> None:
        """Drop counts whose minute has passed, also when nobody asks any more."""
        # Also those that were counted while a Valkey was down, when it is there again.
        for storage in (self._limiter.storage, self._limiter._fallback_storage):  # noqa: SLF001 (it has no other name)
            if isinstance(storage, Counts):
                storage.forget()

    def retry_after(self) -> int:
        """Seconds until the breached budget is whole again."""
        breached = self._limiter.current_limit
        seconds = math.ceil(breached.reset_at - time.time()) if breached else 1
        return min(max(1, seconds), LONGEST_WINDOW)
