"""A line that loses every tenth packet: everything arrives, and nothing is called broken that is only slow.

With ``make journeys`` over the worst line that sources have, in two browsers; no bound on how long it takes.
"""

from __future__ import annotations

import filecmp
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from browser import lying
from browser.drivers import EVERY_JOURNEY, Level
from browser.pages import CODE, FAILED, LOADING, MAILBOX, MESSAGE, READY, STORED, Source
from browser.sending.lossy_line import LossyLine
from browser.slow_line import RATE, ROUND_TRIP
from browser.test_lying_server import identifiers
from support.world import World
from tipbox.formats.access_code import AccessCode

LOSS: Final = 0.1
WORDS: Final = "Каждый десятый пакет пропал. " * 40
LEVELS: Final = (Level.CHROMIUM, Level.SAFER) if EVERY_JOURNEY else (Level.CHROMIUM,)
PATIENCE: Final = 3_000.0


@pytest.fixture(name="lossy")
def _lossy(teller: Source) -> Iterator[LossyLine]:
    rate, round_trip = (RATE, ROUND_TRIP) if EVERY_JOURNEY else (100_000, 0.1)
    line = LossyLine(teller.wire.port, loss=LOSS, rate=rate, round_trip=round_trip)
    yield line
    line.close()


def comes(source: Source, css: str) -> None:
    """Wait for it; meanwhile nothing is given up, and no browser is blamed."""

    def there() -> bool:
        # A document of which half has come may be loaded again meanwhile: what is there is asked for at once.
        assert "cannot seal" not in source.browser.run("return document.body?.textContent ?? '';")
        assert source.browser.count(FAILED) == 0
        assert source.browser.count(f"{LOADING} button") == 0, source.browser.text(LOADING)
        return source.browser.count(css) > 0

    source.browser.until(there, css, PATIENCE)


@pytest.mark.parametrize("level", LEVELS, ids=[level.value for level in LEVELS])
def test_words_a_file_and_an_answer_pass_a_line_that_loses_every_tenth_packet(
    teller: Source, world: World, lossy: LossyLine, tmp_path: Path
) -> None:
    browser = teller.browser
    file = tmp_path / "ВИДЕО.mp4"
    file.write_bytes(random.Random(4).randbytes(100_000))
    browser.begin(browser.url(lossy.port, "/en/send"))
    comes(teller, MESSAGE)
    browser.fill(MESSAGE, WORDS)
    comes(teller, READY)
    teller.choose_all()
    teller.attach(file)
    teller.send()
    comes(teller, STORED)

    [tip] = world.arrived("kibhr")
    assert tip.message == WORDS.encode()
    assert filecmp.cmp(file, tip.files[file.name], shallow=False)

    access_code = AccessCode.generate()
    ids = identifiers(world)
    reply = lying.Mailboxes(access_code.secrets(), list(ids.values())).reply(ids["kibhr"], WORDS)
    teller.wire.answers["/api/mailbox"] = lying.mailbox([reply])
    browser.fresh()
    browser.begin(browser.url(lossy.port, "/en/inbox"))
    comes(teller, CODE)
    browser.fill(CODE, access_code.digits())
    browser.until(lambda: "right" in browser.text("#app"), "the code to be right", PATIENCE)
    browser.click("#app [data-part=open]")
    comes(teller, MAILBOX)
    assert [one.text for one in teller.answers()] == [WORDS]
    assert lossy.lost > lossy.carried / 20, "the line was a good one"
