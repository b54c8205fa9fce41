"""A closed tab, another day: the code and the same files go on with an upload, in another browser."""

from __future__ import annotations

import filecmp
import random
import re
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from browser.drivers import EVERY_JOURNEY, PHONE, Browser, Level
from browser.pages import CODE, DIGITS, DOOR, JUDGED, PICKER, Source
from browser.wire import PARTS, Wire, parts_sent
from support.world import TIPBOX, World, environment, tipbox
from tipbox.formats.base import days
from tipbox.formats.base.padding import padme, parts
from tipbox.server.upkeep.prune import prune_server

FILE_SIZE = 8_000_003
CUT_AT = 0.3
WORDS = "Я продолжу завтра"
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
    source.write(WORDS)
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


def cut_off_at_terminal(world: World, wire: Wire, file: Path) -> str:
    """The same from a terminal, which is stopped once the line has broken; the digits of the code."""
    last, broken = int(parts(padme(FILE_SIZE)) * CUT_AT), threading.Event()

    def blocked(path: str) -> bool:
        if not path.startswith(PARTS) or int(path.removeprefix(PARTS)) < last:
            return False
        broken.set()
        return True

    wire.blocked = blocked
    message = file.with_name("message")
    message.write_text(WORDS, encoding="utf-8")
    sending = subprocess.Popen(
        (TIPBOX, "source", "send", address(wire), "--keys", world.keys, "--message-file", message, "--later", file),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env=environment(),
    )
    assert broken.wait(240), "no part came as far as the line holds"
    sending.send_signal(signal.SIGINT)
    said, _ = sending.communicate(timeout=240)
    [digits] = re.findall(r"(?:\d{6} ){5}\d{6}", said)
    return str(digits)


def address(wire: Wire) -> str:
    return f"http://127.0.0.1:{wire.port}"


TERMINAL = None
"""In place of a browser: ``tipbox source``."""
PAIRS: dict[str, tuple[Level | None, Level | None]] = {
    "firefox-standard then chromium": (Level.STANDARD, Level.CHROMIUM),
    "chromium then firefox-safer": (Level.CHROMIUM, Level.SAFER),
}
if EVERY_JOURNEY:
    PAIRS |= {
        "chromium then terminal": (Level.CHROMIUM, TERMINAL),
        "terminal then firefox-safer": (TERMINAL, Level.SAFER),
    }


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_another_browser_goes_on_the_next_day(
    browsers: Browsers, world: World, line: Lines, file: Path, pair: tuple[Level | None, Level | None]
) -> None:
    begun, ended = pair
    first = line(world)
    first.keep = 1 << 24
    if begun is TERMINAL:
        digits = cut_off_at_terminal(world, first, file)
    else:
        browsers(begun).fresh()
        digits = close_at_a_third(Source(browsers(begun), first), file)
    prune_server(world.server.home, today=days.today() + timedelta(days=1))
    assert drafts(world) == (1, 1)

    second = line(world)
    second.keep = 1 << 24
    if ended is TERMINAL:
        code = file.with_name("code")
        code.write_text(digits)
        code.chmod(0o600)
        tipbox("source", "continue", address(second), "--keys", world.keys, "--passphrase-file", code, file)
    else:
        browser = browsers(ended)
        browser.fresh()
        find(Source(browser, second), digits)
        browser.attach(PICKER, [file])
        browser.wait(ARRIVED)

    all_parts = parts(padme(FILE_SIZE))
    before = {number for number, _ in parts_sent(first.seen())}
    after = {number for number, _ in parts_sent(second.seen())}
    assert before | after == set(range(all_parts))
    assert len(after) <= all_parts * (1 - CUT_AT) + 1, "what is there is not sent again"
    assert drafts(world) == (0, 0)
    [tip] = world.arrived("ili")
    assert tip.message == WORDS.encode()
    assert filecmp.cmp(file, tip.files[file.name], shallow=False)
    if ended is not TERMINAL:
        browsers(ended).fresh()


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
