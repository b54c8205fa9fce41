"""Pressing again, or something else meanwhile: nothing is done twice, and nothing that was written is lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from browser import lying
from browser.drivers import Level
from browser.pages import (
    CHECKS,
    CODE,
    DELETE,
    DOOR,
    JUDGED,
    MAILBOX,
    MESSAGE,
    READY,
    REALLY,
    UNREAD,
    WRITE,
    Source,
)
from browser.test_lying_server import KIBHR, REPLY, identifiers
from support.world import NAMES, World
from tipbox.formats.access_code import AccessCode

WORDS = "Пишу, пока связи нет"
KEEP = "#app [data-part=keep]"
OPEN = "#app [data-part=open]"
BACK = "#app [data-part=answers]"


@pytest.fixture(scope="module")
def written() -> AccessCode:
    """A source's access code."""
    return AccessCode.generate()


@pytest.fixture
def box(pages_world: World, written: AccessCode) -> Sequence[lying.Lie]:
    """An answer, and one that proves nothing."""
    ids = identifiers(pages_world)
    boxes = lying.Mailboxes(written.secrets(), list(ids.values()))
    return boxes.reply(ids["kibhr"], REPLY), boxes.reply(ids["fidh"], "?", pair_key=bytes(32))


def test_open_pressed_again_opens_once(source: Source, written: AccessCode, box: Sequence[lying.Lie]) -> None:
    """No second opening counts anything twice, or takes the place of what is read or written by then."""
    browser, answers = source.browser, source.wire.answers
    answers["/api/mailbox"] = lying.mailbox(box)
    answers["/api/mailbox/delete"] = lying.answer(bytes(32))
    source.type_code(written.digits())
    browser.run(f"""
        const app = document.getElementById("app");
        app.dataset.opened = 0;
        const count = () => {{ if (document.querySelector("{MAILBOX}")) app.dataset.opened++; }};
        new MutationObserver(count).observe(app, {{ childList: true }});
        for (let press = 0; press < 3; press++) document.querySelector("{OPEN}").click();
    """)
    browser.wait(MAILBOX)
    browser.click(DELETE)
    browser.click(REALLY)
    # What is asked of the worker is done one after the other: had it more to open, it would have opened that by now.
    shows(source, "Deleted")
    assert browser.run("return document.getElementById('app').dataset.opened;") == "1"


def test_what_is_written_outlives_a_deletion(source: Source, written: AccessCode, box: Sequence[lying.Lie]) -> None:
    """Deleting takes its time on a bad line; the answers that are gone wait behind the form."""
    browser, wire = source.browser, source.wire
    wire.answers["/api/mailbox"] = lying.mailbox(box)
    source.open_mailbox(written.digits())
    wire.down = True
    wire.cut_all()
    browser.click(DELETE)
    browser.click(REALLY)
    browser.run(f"(window.wrappedJSObject ?? window).answers = document.querySelector('{MAILBOX}');")
    browser.click(WRITE)
    browser.wait(MESSAGE)
    source.write(WORDS)
    wire.down = False
    wiped = "return (window.wrappedJSObject ?? window).answers.parentNode === null;"
    browser.until(lambda: browser.run(wiped), "the answers to be deleted")
    assert browser.run(f"return document.querySelector('{MESSAGE}').value;") == WORDS
    browser.click(BACK)
    shows(source, "Deleted")


def test_what_is_written_outlives_a_look_at_the_answers(
    source: Source, written: AccessCode, box: Sequence[lying.Lie]
) -> None:
    browser = source.browser
    source.wire.answers["/api/mailbox"] = lying.mailbox(box)
    source.open_mailbox(written.digits())
    browser.click(WRITE)
    browser.wait(MESSAGE)
    source.write(WORDS)
    source.drop(["видел.txt"], "dropped")
    source.choose_only(NAMES["ili"][0])
    browser.click(BACK)
    assert [one.sender for one in source.answers()] == [KIBHR]
    source.drop(["не туда.txt"], "dropped beside the form")
    browser.click(WRITE)
    assert browser.run(f"return document.querySelector('{MESSAGE}').value;") == WORDS
    assert source.listed() == ["видел.txt"]
    source.send()
    browser.wait(CHECKS)
    assert list(source.checks()) == [NAMES["ili"][0]]


def test_trouble_with_an_answer_is_none_of_the_message(source: Source, pages_world: World, written: AccessCode) -> None:
    """A file that does not come, while a message is sent and after it is stored."""
    browser, wire = source.browser, source.wire
    ids = identifiers(pages_world)
    boxes = lying.Mailboxes(written.secrets(), list(ids.values()))
    wire.answers["/api/mailbox"] = lying.mailbox([boxes.reply(ids["kibhr"], REPLY, {"a.bin": bytes(9)})])
    wire.blocked = lambda path: path.endswith("/piece")
    source.open_mailbox(written.digits())
    browser.click("#app [data-part=files] button")
    shows(source, "The connection is broken")
    source.write_back(WORDS)
    pieces = len(wire.seen("POST /api/mailbox/piece"))
    browser.until(lambda: len(wire.seen("POST /api/mailbox/piece")) >= pieces + 2, "another try")
    assert "Stored" in browser.text("#app")
    assert [one for one in browser.complaints() if "lacks" in one] == []


def test_a_deletion_that_was_begun_offers_no_way_back(
    source: Source, written: AccessCode, box: Sequence[lying.Lie]
) -> None:
    browser, wire = source.browser, source.wire
    wire.answers["/api/mailbox"] = lying.mailbox(box)
    source.open_mailbox(written.digits())
    wire.blocked = lambda path: path.endswith("/delete")
    browser.click(DELETE)
    browser.click(REALLY)
    shows(source, "Deleting")
    assert browser.count(KEEP) == browser.count(REALLY) == 0
    shows(source, "The connection is broken")
    wire.blocked = lambda _path: False
    shows(source, "Deleted")


def test_a_deletion_in_doubt_is_not_denied(source: Source, written: AccessCode, box: Sequence[lying.Lie]) -> None:
    """An answer of the right size that is not the one of the protocol."""
    answers = source.wire.answers
    answers["/api/mailbox"] = lying.mailbox(box)
    answers["/api/mailbox/delete"] = lying.answer(b"\1" * 32)
    source.open_mailbox(written.digits())
    source.browser.click(DELETE)
    source.browser.click(REALLY)
    source.browser.wait(UNREAD)
    shows(source, "We do not know whether the answers were deleted")
    assert "Nothing was deleted" not in source.browser.text("#app")


def test_without_the_lists_words_are_refused_and_digits_open(
    source: Source, written: AccessCode, box: Sequence[lying.Lie]
) -> None:
    source.wire.answers["/api/mailbox"] = lying.mailbox(box)
    source.wire.answers["/static/words-ru.txt"] = lying.answer(b"zoom\n" * 2_048)
    source.type_code("avenging hypnotic village")
    source.browser.until(lambda: "of your code are enough" in source.browser.text(JUDGED), "a word about the lists")
    source.browser.click(OPEN)
    source.browser.until(lambda: "cannot be opened yet" in source.browser.text(JUDGED), "a refusal")
    assert "of your code are enough" in source.browser.text(JUDGED)
    source.browser.fill(CODE, written.digits())
    source.browser.until(lambda: "right" in source.browser.text(JUDGED), "the access code to be right")
    source.browser.click(OPEN)
    source.browser.wait(MAILBOX)
    assert [one.sender for one in source.answers()] == [KIBHR]


def shows(source: Source, words: str) -> None:
    source.browser.until(lambda: words in source.browser.text("#app"), words)


@pytest.mark.parametrize("level", [Level.CHROMIUM], ids=["chromium"])
def test_what_was_searched_for_takes_no_screen_from_who_writes(source: Source, written: AccessCode) -> None:
    browser, wire = source.browser, source.wire
    source.go("/en/")
    browser.click(DOOR.format("continue"))
    browser.fill(CODE, written.digits())
    wire.stalled = lambda path: path == "/api/capsule"
    browser.click(OPEN)
    browser.until(lambda: wire.seen("POST /api/capsule"), "the search")
    for door in ("start", "write"):
        browser.click(DOOR.format(door))
    browser.wait(READY)
    source.write(WORDS)
    wire.stalled = lambda _path: False
    browser.until(lambda: wire.seen("POST /api/capsule")[0].received, "what was found")
    source.choose_all()
    source.send()
    source.wait_stored()


ONE = pytest.mark.parametrize("level", [Level.CHROMIUM], ids=["chromium"])


@ONE
def test_a_code_that_is_typed_again_while_the_first_waits_opens_once(
    source: Source, written: AccessCode, box: Sequence[lying.Lie]
) -> None:
    browser, wire = source.browser, source.wire
    wire.answers["/api/mailbox"] = lying.mailbox(box)
    wire.stalled = lambda path: path == "/api/now"
    source.go("/en/")
    for _ in range(2):
        browser.click(DOOR.format("read"))
        browser.until(lambda: not browser.run(f"return document.querySelector('{CODE}').value;"), "an empty field")
        browser.fill(CODE, written.digits())
        browser.click(OPEN)
        browser.click(DOOR.format("start"))
    browser.click(DOOR.format("read"))
    browser.fill(CODE, written.digits())
    browser.click(OPEN)
    wire.stalled = lambda _path: False
    browser.until(source.answers, "the answer")
    assert [one.text for one in source.answers()] == [REPLY]
    browser.click(WRITE)
    browser.click(BACK)
    assert [one.text for one in source.answers()] == [REPLY]


@ONE
def test_who_opens_another_code_writes_back_to_those_who_answered_there(source: Source, pages_world: World) -> None:
    browser, wire = source.browser, source.wire
    ids = identifiers(pages_world)
    chosen = "return [...document.querySelectorAll('#app .choice input:checked')].map(one => one.value);"
    source.go("/en/")
    for name in ("kibhr", "fidh"):
        access_code = AccessCode.generate()
        reply = lying.Mailboxes(access_code.secrets(), list(ids.values())).reply(ids[name], REPLY)
        wire.answers["/api/mailbox"] = lying.mailbox([reply])
        wire.answers["/api/mailbox/delete"] = lying.answer(b'{"error":"not-found","message":""}', 404)
        browser.click(DOOR.format("read"))
        browser.fill(CODE, access_code.digits())
        browser.click(OPEN)
        browser.click(WRITE)
        browser.wait(READY)
        assert browser.run(chosen) == [ids[name].hex()]
        assert browser.run(f"return document.querySelector('{MESSAGE}').value;") == ""
        source.write(f"Только для {name}")
        browser.click(BACK)
        browser.click(DELETE)
        browser.click(REALLY)
        browser.wait(UNREAD)
        browser.click(DOOR.format("start"))
