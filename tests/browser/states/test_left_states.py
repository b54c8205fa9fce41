"""Leaving from every state: nothing is seen at once, on a slow line, without one, and after Back; nothing is kept."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from browser import lying
from browser.drivers import EVERY_JOURNEY, Browser, Firefox, Level, running
from browser.pages import (
    LEAVE,
    MESSAGE,
    SENDING,
    STOP,
    WRITE,
    Source,
    spellings,
)
from browser.test_leave import ELSEWHERE, WORDS
from browser.test_lying_server import identifiers
from browser.wire import Wire
from support.world import World
from tipbox.formats.access_code import AccessCode

WITHIN = 100
"""Milliseconds from the press until nothing is to be seen. That it is so in the same tick is asserted always."""
PRESS = """
    const began = performance.now();
    document.querySelector("#leave").click();
    const seen = document.documentElement.innerText;
    return JSON.stringify({
        took: performance.now() - began,
        seen: (seen ?? "").trim(),
        title: document.title.trim(),
        elements: document.querySelectorAll("body *").length,
        path: location.pathname,
    });
"""
LOOKED_AT = pytest.mark.parametrize("level", [Level.CHROMIUM, Level.STANDARD], ids=lambda level: level.value)

State = Callable[[Source, World, Path], None]


def start(source: Source, _world: World, _folder: Path) -> None:
    source.go(f"/{source.language}/")


def error(source: Source, _world: World, _folder: Path) -> None:
    source.go("/no-such-page")


def form_empty(source: Source, _world: World, _folder: Path) -> None:
    source.open_form()


def form_filled(source: Source, _world: World, folder: Path) -> None:
    file = folder / f"{WORDS}.bin"
    file.write_bytes(bytes(200_000))
    source.open_form()
    source.write(WORDS)
    source.attach(file)


def complaint(source: Source, _world: World, _folder: Path) -> None:
    source.open_form()
    source.send()
    source.browser.until(source.problem, "a complaint")


def sending(source: Source, world: World, folder: Path) -> None:
    form_filled(source, world, folder)
    source.wire.hold()
    source.send()
    source.wire.wait_until_held()
    source.browser.wait(SENDING)


def line_broken(source: Source, world: World, folder: Path) -> None:
    sending(source, world, folder)
    source.wire.down = True
    source.wire.cut_all()
    source.browser.until(lambda: source.browser.text("#app [data-part=trouble]"), "words about the line")
    source.wire.down = False


def stopped(source: Source, world: World, folder: Path) -> None:
    sending(source, world, folder)
    source.browser.click(STOP)
    source.wait_stored()  # the words went before


def stored(source: Source, _world: World, _folder: Path) -> None:
    source.tell(WORDS)


def typing_back(source: Source, world: World, folder: Path) -> None:
    stored(source, world, folder)
    source.browser.click("#app [data-part=copied]")


def code_typed(source: Source, _world: World, _folder: Path) -> None:
    source.type_code(AccessCode.generate().digits())


def answers(source: Source, world: World, _folder: Path) -> None:
    access_code = AccessCode.generate()
    ids = identifiers(world)
    reply = lying.Mailboxes(access_code.secrets(), list(ids.values())).reply(ids["kibhr"], WORDS)
    source.wire.answers["/api/mailbox"] = lying.mailbox([reply])
    source.wire.answers["/api/mailbox/delete"] = lying.answer(bytes(32))
    assert [answer.text for answer in source.open_mailbox(access_code.digits())] == [WORDS]


def writing_back(source: Source, world: World, folder: Path) -> None:
    answers(source, world, folder)
    source.browser.click(WRITE)
    source.browser.wait(MESSAGE)
    source.write(WORDS)


def sent_back(source: Source, world: World, folder: Path) -> None:
    answers(source, world, folder)
    source.write_back(WORDS)


def deleted(source: Source, world: World, folder: Path) -> None:
    answers(source, world, folder)
    source.delete_answers()


STATES: tuple[State, ...] = (
    start, error, form_empty, form_filled, complaint, sending, line_broken, stopped, stored, typing_back, code_typed,
    answers, writing_back, sent_back, deleted,
)  # fmt: skip
IN_BOTH: Final = tuple(itertools.product(STATES, (Level.CHROMIUM, Level.STANDARD)))


def in_turn(first: int) -> pytest.MarkDecorator:
    """Each state in one of two browsers, by turns; with ``make journeys`` in both."""
    seen = IN_BOTH if EVERY_JOURNEY else IN_BOTH[first::4] + IN_BOTH[3 - first :: 4]
    return pytest.mark.parametrize(
        ("state", "level"), seen, ids=[f"{state.__name__}-{level.value}" for state, level in seen]
    )


def test_the_sample_holds_each_state_and_each_browser() -> None:
    for first in (0, 1):
        seen = in_turn(first).args[1]
        assert {state for state, _ in seen} == set(STATES)
        assert {level for _, level in seen} == {Level.CHROMIUM, Level.STANDARD}


def leave(source: Source) -> None:
    """Press, and look in the same instant."""
    left: dict[str, Any] = json.loads(source.browser.run(PRESS))
    if EVERY_JOURNEY:  # of a browser that has a core to itself
        assert left["took"] < WITHIN
    assert (left["seen"], left["title"], left["elements"], left["path"]) == ("", "", 0, "/leave")


def go_back(source: Source) -> None:
    browser = source.browser
    browser.back()

    def elsewhere() -> bool:
        shown = browser.text("body").strip()
        assert shown in ("", "Elsewhere")
        if not shown:  # the neutral page came in the same moment and took its place
            browser.back()
        return bool(shown)

    browser.until(elsewhere, "the page before this site")


@in_turn(0)
def test_on_a_slow_line_nothing_is_seen_and_nothing_comes_back(
    source: Source, pages_world: World, tmp_path: Path, state: State
) -> None:
    """The neutral page's answer takes longer than anybody waits; what is shown does not wait for it."""
    browser, wire = source.browser, source.wire
    wire.answers["/elsewhere"] = ELSEWHERE
    source.go("/elsewhere")
    state(source, pages_world, tmp_path)
    wire.stalled = lambda target: target == "/leave"
    leave(source)
    browser.until(lambda: wire.seen("GET /leave"), "the one request")
    assert browser.text("html").strip() == ""
    go_back(source)
    wire.release()


@in_turn(1)
def test_without_a_line_the_empty_page_stays(source: Source, pages_world: World, tmp_path: Path, state: State) -> None:
    """No page of the browser's that names the address and says what went wrong."""
    browser, wire = source.browser, source.wire
    wire.answers["/elsewhere"] = ELSEWHERE
    source.go("/elsewhere")
    state(source, pages_world, tmp_path)
    wire.down = True
    wire.cut_all()
    browser.click(LEAVE)
    assert browser.text("html").strip() == ""
    assert browser.run("return document.title.trim();") == ""
    assert browser.address().endswith("/leave")
    wire.down = False
    go_back(source)
    wire.release()


@pytest.mark.parametrize("state", [start, error, form_filled, stored, answers], ids=lambda state: state.__name__)
def test_escape_three_times_leaves(source: Source, pages_world: World, tmp_path: Path, state: State) -> None:
    browser = source.browser
    source.wire.answers["/elsewhere"] = ELSEWHERE
    source.go("/elsewhere")
    state(source, pages_world, tmp_path)
    for _ in range(2):
        browser.escape()
    browser.press("a")  # something else in between: it was not meant
    browser.escape()
    assert browser.count(LEAVE) == 1
    for _ in range(2):
        browser.escape()
    browser.until(lambda: browser.address() == "about:blank", "the neutral page")
    go_back(source)


@LOOKED_AT
def test_nothing_is_kept_in_an_ordinary_window(
    browsers: Callable[[Level], Browser],
    level: Level,
    line: Callable[[World], Wire],
    pages_world: World,
    tmp_path: Path,
) -> None:
    """Neither in the profile nor in what the browser would open again after a crash; it does note the addresses."""
    beside = browsers(level) if level is Level.CHROMIUM else None
    with running(level, beside, ordinary=True) as browser:
        source = Source(browser, line(pages_world))
        source.go("/en/inbox")
        needles = spellings(WORDS)
        for state in (form_filled, answers, stored):
            state(source, pages_world, tmp_path)
            if state is stored:
                digits = browser.text("#app [data-part=digits]").split()
                for code in ("".join(digits), " ".join(digits), "\n".join(digits), " ".join(digits[:2])):
                    needles += spellings(code)
            leave(source)
            browser.until(lambda: browser.address() == "about:blank", "the neutral page")
            if isinstance(browser, Firefox):
                kept = browser.chrome("""
                    const { SessionStore } = ChromeUtils.importESModule(
                        "resource:///modules/sessionstore/SessionStore.sys.mjs");
                    return SessionStore.getBrowserState();
                """).encode()
                assert not any(needle in kept for needle in needles)
        folder = browser.folder
        browser.close()  # what it still has in memory goes to the disk
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        contents = {path.relative_to(folder): path.read_bytes() for path in files}
        assert any(b"/en/inbox" in content for content in contents.values()), "the profile was not looked at"
        found = [(str(path), needle) for path, data in contents.items() for needle in needles if needle in data]
        assert found == []
