"""What the source's page and a text-only tip weigh, counted on the line between a real browser and the server."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Final

import pytest

from bench.figures import Ledger
from browser.drivers import Level, running
from browser.pages import Source
from browser.wire import Exchange, Wire
from support.world import Ring, running_world

KB: Final = 1_000
TEXT: Final = "Мы были на площади. "
TEXT_SIZE: Final = 4_096
NAMED: Final = 4
"""Requests that the document names."""
PAGE_KB: Final = 60
TIP_KB: Final = 16


def _packed(exchanges: Sequence[Exchange]) -> float:
    return sum(len(gzip.compress(one.answer_body, 9, mtime=0)) for one in exchanges) / KB


@pytest.mark.parametrize("level", [Level.STANDARD, Level.CHROMIUM], ids=lambda level: level.value)
def test_page_and_text(level: Level, ledger: Ledger, ring: Ring) -> None:
    with ledger.bench(f"page weight {level.value}") as bench, running_world(ring) as world, running(level) as browser:
        wire = Wire(world.server)
        try:
            source = Source(browser, wire)
            source.open_form()
            seen = [one for one in wire.seen() if one.target != "/api/now"]  # keys and prices, of everybody
            [document, *named] = seen
            assert document.target == "/en/send"
            bench.note("form, cold: requests besides the document's", "", len(named), at_most=NAMED)
            bench.note("form, cold: bodies as gzip", "kB", _packed(seen), at_most=PAGE_KB)
            bench.note("form, cold: all bytes on the wire, both ways", "kB", wire.traffic / KB)
            text = (TEXT * TEXT_SIZE).encode()[:TEXT_SIZE].decode(errors="ignore")
            source.write(text)
            wire.forget()
            source.send()
            source.wait_stored()
            bench.note("text of 4 KiB to three organisations: requests", "", len(wire.seen()))
            bench.note("text of 4 KiB: all bytes on the wire, both ways", "kB", wire.traffic / KB, at_most=TIP_KB)
            browser.fresh()
            wire.forget()
            source.go("/en/")
            bench.note("start page, cold: bodies as gzip", "kB", _packed(wire.seen()))
        finally:
            wire.close()
