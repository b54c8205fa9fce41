"""A closed tab, another day: the code and the same files go on with an upload, in another browser."""

from __future__ import annotations

import filecmp
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from browser.drivers import PHONE, Browser, Level
from browser.pages import CODE, DIGITS, DOOR, JUDGED, PICKER, Source
from browser.wire import PARTS, Wire, parts_sent
from support.world import World
from tipbox.formats.base import days
from tipbox.formats.base.padding import padme, parts
from tipbox.server.upkeep.prune import prune_server

FILE_SIZE = 8_000_003
CUT_AT = 0.3
LATER = "#app label[data-part=later] input"
CLOSE = "#app p[data-part=later]"
ARRIVED = "#app [data-part=checks] dt"
ANEW = "#app [data-part=anew]"
DIFFERS = "#app [data-part=differs]"

Browsers = Callable[[Level], Browser]
Lines = Callable[[World], Wire]


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "запись.mp4"
    path.write_bytes(random.Random(11).randbytes(FILE_SIZE))
    return path


def close_at_a_third(source: Source, file: Path) -> str:
    """Send it, and close the tab once about 30 % are there; the digits of the code."""
    browser, wire = source.browser, source.wire
    last = int(parts(padme(FILE_SIZE)) * CUT_AT)
    source.open_form()
    source.write("Я продолжу завтра")
    source.attach(file)
    browser.click(LATER)
    wire.blocked = lambda path: path.startswith(PARTS) and int(path.removeprefix(PARTS)) >= last
    source.send()
    browser.until(lambda: browser.text("#app [data-part=trouble]"), "the line to break")
    assert "you may close this tab" in browser.text(CLOSE)
    digits = " ".join(browser.text(DIGITS).split())
    wire.down = True
    browser.fresh()
    wire.cut_all()
    return digits


def find(source: Source, digits: str) -> None:
    """Type the code on the start page's own way."""
    browser = source.browser
    source.go("/en/")
    browser.click(DOOR.format("continue"))
    browser.wait(CODE)
    browser.type(CODE, digits)
    browser.until(lambda: "right" in browser.text(JUDGED), "the access code to be right")
    browser.click("#app [data-part=open]")
    browser.wait(PICKER)


def drafts(world: World) -> tuple[int, int]:
    """How many drafts and capsules there are."""
    with closing(sqlite3.connect(world.server.home / "tipbox.db")) as database:
        count = "SELECT (SELECT count(*) FROM draft), (SELECT count(*) FROM capsule)"
        found: tuple[int, int] = database.execute(count).fetchone()
        return found


@pytest.mark.parametrize(
    "pair",
    [(Level.STANDARD, Level.CHROMIUM), (Level.CHROMIUM, Level.SAFER)],
    ids=["firefox-standard then chromium", "chromium then firefox-safer"],
)
def test_another_browser_goes_on_the_next_day(
    browsers: Browsers, world: World, line: Lines, file: Path, pair: tuple[Level, Level]
) -> None:
    begun, ended = pair
    first = Source(browsers(begun), line(world))
    first.browser.fresh()
    first.wire.keep = 1 << 24
    digits = close_at_a_third(first, file)
    prune_server(world.server.home, today=days.today() + timedelta(days=1))
    assert drafts(world) == (1, 1)

    second = Source(browsers(ended), line(world))
    second.browser.fresh()
    second.wire.keep = 1 << 24
    find(second, digits)
    second.browser.attach(PICKER, [file])
    second.browser.wait(ARRIVED)

    all_parts = parts(padme(FILE_SIZE))
    before = {number for number, _ in parts_sent(first.wire.seen())}
    after = {number for number, _ in parts_sent(second.wire.seen())}
    assert before | after == set(range(all_parts))
    assert len(after) <= all_parts * (1 - CUT_AT) + 1, "what is there is not sent again"
    assert drafts(world) == (0, 0)
    [tip] = world.arrived("ili")
    assert tip.message == "Я продолжу завтра".encode()
    assert filecmp.cmp(file, tip.files[file.name], shallow=False)
    second.browser.fresh()


def test_a_file_that_changed_is_sealed_anew_and_the_old_upload_given_up(
    browsers: Browsers, world: World, line: Lines, file: Path, screenshots: Path
) -> None:
    source = Source(browsers(Level.CHROMIUM), line(world))
    source.browser.fresh()
    digits = close_at_a_third(source, file)
    source.wire.down = False
    source.wire.blocked = lambda _: False
    source.wire.forget()
    with file.open("r+b") as changing:
        changing.seek(1000)
        changing.write(b"\x00\x01\x02")
    browser = source.browser

    find(source, digits)
    browser.screenshot(screenshots / "continue-found.png", PHONE)
    browser.attach(PICKER, [file])
    browser.until(lambda: browser.count(DIFFERS) and browser.text(DIFFERS), "what differs")
    browser.screenshot(screenshots / "continue-differs.png", PHONE)
    assert source.wire.seen("PUT") == [], "nothing of it is sent"
    browser.click(ANEW)
    browser.wait(ARRIVED)

    browser.until(lambda: drafts(world) == (0, 0), "the old upload to go")
    [tip] = world.arrived("ili")
    assert filecmp.cmp(file, tip.files[file.name], shallow=False)
    browser.fresh()
