"""What was written, chosen or shown is not lost without a question."""

from __future__ import annotations

from pathlib import Path

import pytest

from browser import lying
from browser.drivers import Level
from browser.pages import CHECKS, CODE, DIGITS, DOOR, FAILED, LEAVE, MAILBOX, MESSAGE, READY, WRITE, Source
from browser.test_lying_server import identifiers
from support.world import World
from tipbox.formats.access_code import AccessCode

BLANKS = (" ", "\n\t ", "\u00a0\u2003\u3000", "\u200b\u2060\ufeff", "\u2800\u3164", "\u00ad\u034f\ufe0f")


def asks(source: Source) -> bool:
    """Whether the browser would ask before this page is left."""
    return bool(
        source.browser.run("""
            const page = window.wrappedJSObject ?? window;
            const event = new page.Event("beforeunload", { cancelable: true });
            page.dispatchEvent(event);
            return event.defaultPrevented;
        """)
    )


def test_from_the_first_character_until_the_code_was_typed_back_the_browser_asks(source: Source) -> None:
    browser = source.browser
    source.open_form()
    assert not asks(source)
    source.write("П")
    assert asks(source)
    browser.fill(MESSAGE, "")
    assert not asks(source)
    source.drop(["видел.txt"], "dropped")
    browser.until(source.listed, "the file to be listed")
    assert asks(source)
    source.send()
    digits = source.wait_stored()

    assert asks(source), "the code is on no paper"
    browser.click("#app [data-part=copied]")
    assert asks(source)
    browser.fill("#app .boxes input", f"999999{digits[6:]}")
    assert asks(source), "a group is wrong"
    browser.fill("#app .boxes input", digits)
    browser.until(lambda: "Right" in browser.text("#app"), "the code to be right")
    assert not asks(source)


def test_who_does_not_need_the_code_is_asked_no_more_and_can_think_again(source: Source) -> None:
    browser = source.browser
    source.open_form()
    source.write("Код не нужен")
    source.send()
    digits = source.wait_stored()
    assert browser.count("#app a") == 0, "no way leads from the screen that shows the code"
    browser.click("#app [data-part=declined]")
    assert not asks(source)
    assert "type your code" not in browser.text("#app"), "there is none to come back with"
    browser.click("#app [data-part=code-after-all]")
    assert " ".join(browser.text(DIGITS).split()) == digits
    assert asks(source)
    source.type_back(digits)
    browser.until(lambda: "type your code" in browser.text("#app"), "what to do another day")


def test_who_leaves_quickly_is_not_asked(source: Source) -> None:
    source.open_form()
    source.write("Кто-то идёт")
    source.wire.blocked = lambda path: path == "/leave"  # so that the emptied page stays and can be asked
    source.browser.click(LEAVE)
    source.browser.until(lambda: not source.browser.count(MESSAGE), "an empty page")
    assert not asks(source)
    source.wire.blocked = lambda _path: False
    source.go("/en/")  # Chromium does not always close an emptied page


def test_what_was_not_sent_is_still_asked_for(source: Source) -> None:
    browser = source.browser
    source.open_form()
    source.write("Нет места")
    source.wire.answers["/api/envelope"] = lying.answer(b'{"error":"full","message":""}', 507)
    source.send()
    source.wait_failed()
    assert asks(source)
    browser.click(FAILED)
    assert asks(source)


def test_a_code_in_doubt_stands_above_the_form_and_is_that_of_what_is_sent_again(
    source: Source, tmp_path: Path
) -> None:
    """Whichever of the two arrives, one code opens the answers."""
    browser, wire = source.browser, source.wire
    file = tmp_path / "a.bin"
    file.write_bytes(bytes(1000))
    source.open_form()
    source.attach(file)
    wire.answers["/api/envelope/finish"] = lying.answer(b'{"error":"part-differs","message":""}', 409)
    source.send()
    source.wait_failed()
    digits = " ".join(browser.text(DIGITS).split())
    browser.click(FAILED)
    assert browser.count(MESSAGE) == 1
    assert browser.count(DIGITS) == 1
    assert " ".join(browser.text(DIGITS).split()) == digits
    assert asks(source)
    wire.answers["/api/envelope"] = lying.answer(b'{"error":"full","message":""}', 507)
    source.send()
    assert "Keep the code" in source.wait_failed(), "the first one may have arrived"
    browser.click(FAILED)
    wire.answers.clear()
    source.send()
    assert source.wait_stored() == digits
    source.type_back(digits)
    browser.until(lambda: not asks(source), "the code to be on paper")


@pytest.fixture
def written() -> AccessCode:
    return AccessCode.generate()


def test_back_leads_from_writing_back_to_the_answers(source: Source, pages_world: World, written: AccessCode) -> None:
    browser = source.browser
    ids = identifiers(pages_world)
    boxes = lying.Mailboxes(written.secrets(), list(ids.values()))
    source.wire.answers["/api/mailbox"] = lying.mailbox([boxes.reply(ids["kibhr"], "Спасибо")])
    source.open_mailbox(written.digits())
    browser.click(WRITE)
    browser.wait(MESSAGE)
    source.write("Ещё вот что")
    browser.back()
    browser.wait(MAILBOX)
    assert [one.text for one in source.answers()] == ["Спасибо"]
    browser.click(WRITE)
    assert browser.run(f"return document.querySelector('{MESSAGE}').value;") == "Ещё вот что"
    browser.click("#app [data-part=answers]")
    browser.wait(MAILBOX)
    browser.click(WRITE)
    source.send()
    browser.wait(CHECKS)
    assert browser.count("#app [data-part=copy-step]") == 0
    assert not asks(source)
    browser.until(lambda: browser.run("return history.state === null;"), "one entry in the history")


def test_a_first_message_waits_while_one_writes_back(source: Source, pages_world: World, written: AccessCode) -> None:
    browser = source.browser
    ids = identifiers(pages_world)
    boxes = lying.Mailboxes(written.secrets(), list(ids.values()))
    source.wire.answers["/api/mailbox"] = lying.mailbox([boxes.reply(ids["kibhr"], "Спасибо")])
    value = f"return document.querySelector('{MESSAGE}').value;"
    source.open_form()
    source.write("Начато")
    for door in ("start", "read"):
        browser.click(DOOR.format(door))
    browser.wait(CODE)
    browser.fill(CODE, written.digits())
    browser.click("#app [data-part=open]")
    browser.wait(MAILBOX)
    browser.click(WRITE)
    assert browser.run(value) == "", "it is for others"
    source.write("Ответ")
    source.send()
    browser.wait(CHECKS)
    assert asks(source)
    browser.click(FAILED)
    assert browser.run(value) == "Начато"
    source.send()
    source.wait_stored()
    assert browser.count(FAILED) == 0, "nothing is left"


@pytest.mark.parametrize("level", [Level.CHROMIUM], ids=["chromium"])
def test_what_is_begun_in_answer_waits_while_a_first_message_is_sent(
    source: Source, pages_world: World, written: AccessCode
) -> None:
    browser = source.browser
    boxes = lying.Mailboxes(written.secrets(), list(identifiers(pages_world).values()))
    reply = boxes.reply(identifiers(pages_world)["kibhr"], "Спасибо")
    source.wire.answers["/api/mailbox"] = lying.mailbox([reply])
    value = f"return document.querySelector('{MESSAGE}').value;"
    source.open_form()
    source.write("Начато")
    for door in ("start", "read"):
        browser.click(DOOR.format(door))
    browser.fill(CODE, written.digits())
    browser.click("#app [data-part=open]")
    browser.click(WRITE)
    source.write("Ответ")
    browser.click("#app [data-part=answers]")
    browser.click(FAILED)
    assert browser.run(value) == "Начато"
    source.send()
    source.type_back(source.wait_stored())
    browser.click(FAILED)
    assert browser.run(value) == "Ответ"
    source.send()
    browser.wait(CHECKS)


@pytest.mark.parametrize("level", [Level.CHROMIUM], ids=["chromium"])
def test_a_code_in_doubt_outlives_a_form_that_nobody_takes(source: Source, tmp_path: Path) -> None:
    browser, answers = source.browser, source.wire.answers
    file = tmp_path / "a.bin"
    file.write_bytes(bytes(1000))
    nobody = lying.now(source.now(), manifests=[])
    source.open_form()
    source.attach(file)
    answers["/api/envelope/finish"] = lying.answer(b'{"error":"part-differs","message":""}', 409)
    source.send()
    source.wait_failed()
    source.wire.blocked = lambda path: path == "/api/now"
    browser.click(FAILED)
    browser.click("#app [data-part=files] button")
    browser.until(lambda: not source.listed(), "an empty form")
    answers["/api/now"] = nobody
    browser.until(lambda: "Nothing can be sealed" in browser.text("#app"), "a word about keys")
    browser.click(FAILED)
    browser.wait(READY)
    assert browser.count(DIGITS) == 1


def test_blanks_are_no_message(source: Source) -> None:
    source.open_form()
    source.wire.forget()
    for blank in BLANKS:
        source.browser.fill(MESSAGE, blank)
        source.send()
        source.browser.until(source.problem, f"a complaint of {blank.encode('unicode_escape').decode()}")
    assert source.wire.seen() == []


def test_a_file_that_is_chosen_twice_is_listed_once_and_a_long_list_folds(source: Source, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:02d}.txt" for number in range(14)]
    for path in paths:
        path.write_text(path.name)
    source.open_form()
    source.attach(*paths)
    source.browser.attach("#app input[type=file]", [paths[0], paths[13]])
    source.browser.attach("#app input[type=file]", [paths[1]])
    assert source.listed() == [path.name for path in paths]
    shown = source.browser.run("""
        const rows = [...document.querySelectorAll("#app [data-part=files] bdi")];
        return rows.filter(row => row.checkVisibility()).length;
    """)
    assert shown == 10


def test_a_file_that_cannot_be_read_is_marked_and_can_be_chosen_again(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "пишется.mp4"
    path.write_bytes(bytes(3_000_000))
    source.open_form()
    source.attach(path)
    path.write_bytes(bytes(1_000))
    source.send()
    assert path.name in source.wait_failed()
    source.browser.click(FAILED)
    assert "changed" in source.browser.text("#app [data-state=lost]")
    source.browser.attach("#app input[type=file]", [path])
    source.browser.until(lambda: not source.browser.count("#app [data-state=lost]"), "the mark to go")
    assert source.listed() == [path.name]
    source.send()
    source.wait_stored()
