"""What a false proof costs the server: who sends one needs nothing but a header."""

from __future__ import annotations

import time
from typing import Final

from bench.figures import Ledger
from tipbox.formats import toll
from tipbox.formats.toll import Proof
from tipbox.server.uploads.price import Tolls

HOUR: Final = 494_000
EFFORT: Final = 60
EACH: Final = 100
RUNS: Final = 20
BOUND_MS: Final = 0.2


def test_refusing_garbage(ledger: Ledger) -> None:
    with ledger.bench("toll") as bench:
        tolls = Tolls(bytes(32), lambda: HOUR * toll.HOUR)
        garbage = Proof(HOUR, EFFORT, (2**32 - 1,) * toll.PUZZLES).encode()
        refused, tokens = [], iter(range(RUNS * EACH))
        for _ in range(RUNS):
            begun = time.thread_time()
            for _ in range(EACH):
                assert tolls.paid(garbage, next(tokens).to_bytes(32), EFFORT) == 0
            refused.append((time.thread_time() - begun) * 1e3 / EACH)
        bench.note("a false proof: processor", "ms", refused, at_most=BOUND_MS)
        bench.note("tries of PBKDF2 a second, one core", "", _pace())


def _pace() -> float:
    password, begun = bytes(77), time.thread_time()
    for nonce in range(RUNS * EACH):
        toll.trial(password, 0, nonce)
    return RUNS * EACH / (time.thread_time() - begun)
