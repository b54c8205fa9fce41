"""A closed tab, another day: the code and the same files go on with an upload, in another browser."""

from __future__ import annotations

import filecmp
import os
import random
import re
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from browser import lying
from browser.drivers import EVERY_JOURNEY, PHONE, Browser, Level
from browser.pages import CODE, DIGITS, DOOR, FAILED, JUDGED, MESSAGE, PICKER, Source
from browser.wire import PARTS, Wire, parts_sent
from support.world import TIPBOX, World, environment, tipbox
from tipbox.files.attachments import measure
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base import days
from tipbox.formats.base.padding import padme, parts
from tipbox.net.http import Connection
from tipbox.server.upkeep.prune import prune_server
from tipbox.source.continuing import find_uploads, give_up, go_on, placing_of
from tipbox.source.recipients import Addressees
from tipbox.source.sealing import seal_tip
from tipbox.source.send import send_tip
from tipbox.source.upload import Upload

FILE_SIZE = 8_000_003
CUT_AT = 0.3
WORDS = "Я продолжу завтра"
LATER = "#app label[data-part=later] input"
CLOSE = "#app p[data-part=later]"
ARRIVED = "#app [data-part=checks] dt"
ANEW = "#app [data-part=anew]"
DIFFERS = "#app [data-part=differs]"
STATE = "#app [data-part=whole]"
ELSEWHERE = "#app [data-part=other]"
RANGES = "/api/envelope/parts"
GOES_ON = "“Continue an upload” on the start page goes on"
SMALL_SIZE = 1_200_003

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


def find(source: Source, digits: str, begun: str = "") -> None:
    """Type the code on the start page's own way; before that begin another message."""
    browser = source.browser
    source.go("/en/")
    if begun:
        browser.click(DOOR.format("write"))
        browser.wait(MESSAGE)
        source.write(begun)
        browser.click(DOOR.format("start"))
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


class CutOff(Exception):
    """The line of a program broke."""


def cut_off_program(world: World, wire: Wire, file: Path) -> AccessCode:
    """A program sends the file, and its line breaks once some of it is there."""
    code, sent = AccessCode.generate(), 0

    def progress(more: int) -> None:
        nonlocal sent
        sent += more
        if sent > SMALL_SIZE * CUT_AT:
            raise CutOff

    with Connection(address(wire)) as connection:
        tip = seal_tip(Addressees.load(world.keys, (), print), b"", measure([file]), code, days.today())
        with pytest.raises(CutOff):
            send_tip(Upload(connection, placing=placing_of(tip)), tip, progress)
    return code


def finish_elsewhere(code: AccessCode, wire: Wire, file: Path) -> None:
    """Another program goes on with it to its end."""
    with Connection(address(wire)) as connection:
        [found], _ = find_uploads(connection, code.secrets())
        go_on(Upload(connection, token=found.capsule.token), found.tip(code, measure([file]), {}))


def give_up_elsewhere(code: AccessCode, wire: Wire, _: Path) -> None:
    """Another program has the server forget it."""
    with Connection(address(wire)) as connection:
        [found], _refused = find_uploads(connection, code.secrets())
        give_up(connection, found)


@contextmanager
def before(wire: Wire, path: str) -> Iterator[None]:
    """What is done in here is done between the page's next request of a path and its arrival."""
    passes = threading.Event()
    wire.stalled = lambda target: target.startswith(path) and not passes.is_set()
    wire.forget()
    try:
        yield
    finally:
        passes.set()


def until_asked(source: Source, path: str) -> None:
    source.browser.until(lambda: any(one.target.startswith(path) for one in source.wire.seen()), "the page to ask")


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


@pytest.mark.usefixtures("interruptible")
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

    find(source, digits, "Другое")
    browser.screenshot(screenshots / "continue-found.png", PHONE)
    browser.attach(PICKER, [file])
    browser.until(lambda: browser.count(DIFFERS) and browser.text(DIFFERS), "what differs")
    browser.screenshot(screenshots / "continue-differs.png", PHONE)
    assert source.wire.seen("PUT") == [], "nothing of it is sent"
    browser.click(ANEW)
    browser.wait(ARRIVED)

    browser.click(FAILED)
    assert browser.run(f"return document.querySelector('{MESSAGE}').value;") == "Другое", "it is not sent"
    browser.until(lambda: drafts(world) == (0, 0), "the old upload to go")
    [tip] = world.arrived("ili")
    assert filecmp.cmp(file, tip.files[file.name], shallow=False)
    browser.fresh()


def test_what_a_full_site_refused_is_not_called_lost_while_the_code_goes_on_with_it(
    browsers: Browsers, world: World, line: Lines, file: Path
) -> None:
    os.truncate(file, SMALL_SIZE)
    source = Source(browsers(Level.CHROMIUM), line(world))
    browser, answers = source.browser, source.wire.answers
    full = {f"{PARTS}{first}": lying.answer(b'{"error":"full","message":""}', 507) for first in (0, 4)}
    browser.fresh()

    def send(words: str) -> None:
        answers.update(full)
        source.open_form()
        source.write(words)
        source.attach(file)
        browser.click(LATER)
        source.send()

    send("")
    said = source.wait_failed()
    assert "No room at the moment" in said
    assert GOES_ON in said
    assert "opens nothing" not in said
    digits = " ".join(browser.text(DIGITS).split())
    browser.fresh()

    find(source, digits)
    browser.attach(PICKER, [file])
    said = source.wait_failed()
    assert "We do not know whether your message arrived" in said
    assert GOES_ON in said
    assert "not delivered" not in said.lower()
    assert drafts(world) == (1, 1)

    answers.clear()
    find(source, digits)
    browser.attach(PICKER, [file])
    browser.wait(ARRIVED)
    assert drafts(world) == (0, 0)
    [tip] = world.arrived("ili")
    assert filecmp.cmp(file, tip.files[file.name], shallow=False)

    send(WORDS)
    source.wait_stored()
    assert GOES_ON in browser.text("#app [data-part=left-out]")
    browser.fresh()


MOMENTS = [PARTS]
if EVERY_JOURNEY:
    MOMENTS.append(RANGES)


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_another_program_has_finished_meanwhile_has_arrived(
    browsers: Browsers, world: World, line: Lines, file: Path, moment: str
) -> None:
    """It is not to be sent again; and no digits are shown that are not those of what is stored."""
    os.truncate(file, SMALL_SIZE)
    source, other = Source(browsers(Level.CHROMIUM), line(world)), line(world)
    browser = source.browser
    browser.fresh()
    code = cut_off_program(world, other, file)
    find(source, code.digits())
    with before(source.wire, moment):
        browser.attach(PICKER, [file])
        until_asked(source, moment)
        finish_elsewhere(code, other, file)
    browser.until(lambda: browser.count(STATE) or browser.count(FAILED), "the end")
    assert "has finished this" in browser.text(ELSEWHERE)
    assert "All of it lies sealed" in browser.text("#app [data-part=whole]")
    assert browser.count(ARRIVED) == 0
    assert browser.count("#app [data-part=spoken]") == 0
    assert drafts(world) == (0, 0)
    [tip] = world.arrived("ili")
    assert filecmp.cmp(file, tip.files[file.name], shallow=False)
    browser.fresh()


if EVERY_JOURNEY:

    def test_what_another_program_has_given_up_meanwhile_may_have_arrived(
        browsers: Browsers, world: World, line: Lines, file: Path
    ) -> None:
        os.truncate(file, SMALL_SIZE)
        source, other = Source(browsers(Level.CHROMIUM), line(world)), line(world)
        source.browser.fresh()
        code = cut_off_program(world, other, file)
        find(source, code.digits())
        with before(source.wire, PARTS):
            source.browser.attach(PICKER, [file])
            until_asked(source, PARTS)
            give_up_elsewhere(code, other, file)
        source.browser.wait(FAILED)
        assert "We do not know whether your message arrived" in source.browser.text("#app")
        assert GOES_ON not in source.browser.text("#app")
        assert drafts(world) == (0, 0)
        source.browser.fresh()

    def test_who_sends_hears_that_it_was_finished_elsewhere(
        browsers: Browsers, world: World, line: Lines, file: Path
    ) -> None:
        os.truncate(file, SMALL_SIZE)
        source, other = Source(browsers(Level.STANDARD), line(world)), line(world)
        browser = source.browser
        browser.fresh()
        source.open_form()
        source.write(WORDS)
        source.attach(file)
        browser.click(LATER)
        with before(source.wire, PARTS):
            source.send()
            until_asked(source, PARTS)
            code = AccessCode.parse(browser.text(DIGITS))
            finish_elsewhere(code, other, file)
        browser.until(lambda: browser.count(STATE) or browser.count(FAILED), "the end")
        assert "has finished this" in browser.text(ELSEWHERE)
        assert browser.count(ARRIVED) == 0
        [tip] = world.arrived("ili")
        assert tip.message == WORDS.encode()
        assert filecmp.cmp(file, tip.files[file.name], shallow=False)
        browser.fresh()
