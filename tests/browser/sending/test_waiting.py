"""While something is sent: a screen that stays on, a countdown with a way past it, and a word for those who hear."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from browser.drivers import Level
from browser.pages import STORED, Source

COUNTDOWN = "#app [data-part=countdown]"
TOLD = "#app [data-part=told]"
IN_CHROMIUM = pytest.mark.parametrize("level", [Level.CHROMIUM], ids=lambda level: level.value)
LONG_PAUSE = 8


def test_a_cut_counts_down_and_who_presses_need_not_wait(source: Source) -> None:
    browser, wire = source.browser, source.wire
    source.open_form()
    source.write("No line")
    wire.down = True
    wire.cut_all()
    source.send()

    def left() -> int:
        found = re.search(r"Trying again in (\d+)", browser.text(COUNTDOWN)) if browser.count(COUNTDOWN) else None
        return int(found[1]) if found else 0

    browser.until(lambda: left() >= LONG_PAUSE, "a pause of some seconds")
    wire.down = False
    browser.click("#app [data-part=retry]")
    began = time.monotonic()
    browser.wait(STORED)
    assert time.monotonic() - began < LONG_PAUSE - 1, "it waited for the end of the pause"


def test_a_quarter_and_a_half_are_told_once(source: Source, tmp_path: Path) -> None:
    browser, wire = source.browser, source.wire
    file = tmp_path / "long.mp4"
    file.write_bytes(bytes(12_000_000))
    half = file.stat().st_size // 65_536 * 6 // 10
    wire.blocked = lambda path: "/parts/" in path and int(path.rpartition("/")[2]) >= half
    source.open_form()
    source.attach(file)
    source.send()
    # Each run counts when it has gone: on a fast line one step may hide the one before.
    browser.until(lambda: any(step in browser.text(TOLD) for step in ("50", "75")), "the half to be told")
    role = browser.run(f"return document.querySelector('{TOLD}').getAttribute('role');")
    assert role == "status"
    assert "MB of 12 MB" in browser.text("#app .items")
    wire.blocked = lambda _path: False
    source.wait_stored()


@IN_CHROMIUM
def test_the_screen_is_kept_on_until_it_is_stored(source: Source) -> None:
    browser = source.browser
    source.open_form()
    source.write("Do not sleep")
    browser.run("""
        window.locks = [];
        const ask = navigator.wakeLock.request.bind(navigator.wakeLock);
        navigator.wakeLock.request = async kind => {
            const lock = await ask(kind);
            locks.push(lock);
            return lock;
        };
    """)
    source.wire.blocked = lambda path: path == "/api/envelope"
    source.send()
    browser.until(lambda: browser.run("return locks.length === 1 && !locks[0].released;"), "the screen to be kept on")
    source.wire.blocked = lambda _path: False
    source.wait_stored()
    browser.until(lambda: browser.run("return locks.every(lock => lock.released);"), "the screen to be let go")
