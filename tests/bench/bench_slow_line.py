"""A first visit over 20 kbit/s each way and 3 s of round trip, in real browsers: words, field, and a message stored."""

from __future__ import annotations

import time
from typing import Final

import pytest

from bench.figures import Ledger
from browser.drivers import Level, running
from browser.pages import MESSAGE, READY, SEND, STORED, Source
from browser.slow_line import SlowLine
from browser.wire import Wire
from support.world import Ring, running_world

WORDS: Final = "Мы были на площади. " * 250
"""A thousand words."""
FIRST_WORDS: Final = 5.0
FIELD: Final = 15.0
AFTER_THE_PRESS: Final = 15.0
ALL: Final = 45.0
PATIENCE: Final = 180.0
PAINTED: Final = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0;"


@pytest.mark.parametrize("level", [Level.CHROMIUM, Level.SAFER], ids=lambda level: level.value)
def test_first_visit(level: Level, ledger: Ledger, ring: Ring) -> None:
    with ledger.bench(f"slow line {level.value}") as bench, running_world(ring) as world, running(level) as browser:
        wire = Wire(world.server)
        line = SlowLine(wire.port)
        source = Source(browser, wire)
        try:
            begun = time.monotonic()
            browser.begin(browser.url(line.port, "/ru/#write"))

            def since(css: str) -> float:
                browser.until(lambda: browser.count(css), css, PATIENCE)
                return time.monotonic() - begun

            field = since(MESSAGE)
            source.write(WORDS)
            ready = since(READY)
            source.choose_all()
            browser.click(SEND)
            stored = since(STORED)
            bench.note("first words", "s", browser.run(PAINTED) / 1000, at_most=FIRST_WORDS)
            bench.note("field", "s", field, at_most=FIELD)
            bench.note("button", "s", ready)
            bench.note("1,000 words stored after the press", "s", stored - ready, at_most=AFTER_THE_PRESS)
            bench.note("1,000 words stored after the first request", "s", stored, at_most=ALL)
            bench.note("all bytes on the wire, both ways", "kB", wire.traffic / 1000)
        finally:
            line.close()
            wire.close()
