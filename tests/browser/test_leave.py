"""Leaving quickly: first on each page, with and without JavaScript, and nothing to come back to."""

from __future__ import annotations

from pathlib import Path

import pytest

from browser import lying
from browser.drivers import Level
from browser.pages import CODE, DIGITS, FAILED, LEAVE, MESSAGE, SEND, SENDING, STOP, Source
from browser.test_lying_server import identifiers
from support.world import World
from tipbox.formats.access_code import AccessCode

WORDS = "Никто не должен это увидеть"
ALL = pytest.mark.parametrize("level", list(Level), ids=lambda level: level.value)
FOCUSABLE = "a[href], button, input, textarea, select, summary, [tabindex]:not([tabindex='-1'])"


def first_focusable(source: Source) -> str:
    script = (
        f"""return [...document.querySelectorAll("{FOCUSABLE}")].find(one => one.getClientRects().length > 0).id;"""
    )
    return str(source.browser.run(script))


@ALL
@pytest.mark.parametrize("path", ["/en/", "/en/send", "/en/inbox"])
def test_leave_is_the_first_stop_of_the_tab_key(source: Source, path: str) -> None:
    source.go(path)
    if path != "/en/" and source.browser.level is not Level.SAFEST:
        source.browser.wait("#app textarea")
        assert first_focusable(source) == "leave"
        return
    source.browser.tab()
    assert source.browser.focused(LEAVE)


def test_leave_comes_first_in_every_state(source: Source, tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(bytes(200_000))
    browser, wire = source.browser, source.wire
    source.open_form()
    source.attach(file)
    wire.hold()
    source.send()
    wire.wait_until_held()
    browser.wait(SENDING)
    assert first_focusable(source) == "leave"
    browser.click(STOP)
    browser.wait(FAILED)
    assert first_focusable(source) == "leave"
    wire.release()
    browser.click(FAILED)
    browser.wait(SEND)
    source.send()
    source.wait_stored()
    assert first_focusable(source) == "leave"


@ALL
def test_leaving_ends_on_a_neutral_page_that_wipes_the_site(source: Source) -> None:
    browser = source.browser
    source.go("/en/")
    title = browser.source().partition("<title>")[2].partition("</title>")[0]
    assert title
    source.wire.forget()
    browser.click(LEAVE)
    browser.until(lambda: title not in browser.source(), "the neutral page")
    left = source.wire.seen("GET /leave")[0]
    assert left.status == 303
    assert left.answer_headers["clear-site-data"] == '"*"'
    page = browser.text("body").lower()
    assert page.strip()
    assert not any(word in page for word in ("tip", "organisation", "message", "send", "anonym", "rights"))
    assert browser.count("a, input, textarea, script") == 0


@ALL
def test_back_after_leaving_shows_nothing_that_was_written(source: Source) -> None:
    browser = source.browser
    source.go("/en/")
    source.go("/en/send")
    if browser.level is not Level.SAFEST:
        browser.wait(MESSAGE)
        source.write(WORDS)
    browser.click(LEAVE)
    browser.until(lambda: not browser.count("#app"), "the neutral page")
    browser.back()
    assert WORDS not in browser.source()
    if browser.level is not Level.SAFEST and "/send" in browser.address():
        browser.wait(MESSAGE)
        assert browser.run(f"return document.querySelector('{MESSAGE}').value;") == ""


def test_back_to_the_mailbox_shows_nothing_that_was_typed_or_read(source: Source, pages_world: World) -> None:
    browser = source.browser
    access_code = AccessCode.generate()
    of_source = access_code.secrets()
    ids = identifiers(pages_world)
    reply = lying.Mailboxes(of_source, list(ids.values())).reply(ids["kibhr"], WORDS)
    source.wire.answers["/api/mailbox"] = lying.mailbox([reply])
    source.go("/en/")
    for leave in (False, True):
        source.type_code(access_code.digits())
        source.go("/en/")
        browser.back()
        browser.wait(CODE)
        assert browser.run(f"return document.querySelector('{CODE}').value;") == ""
        assert [answer.text for answer in source.open_mailbox(access_code.digits())] == [WORDS]
        assert first_focusable(source) == "leave"
        if leave:
            browser.click(LEAVE)
            browser.until(lambda: not browser.count("#app"), "the neutral page")
        else:
            source.go("/en/")
        browser.back()
        assert WORDS not in browser.source()


def test_back_after_sending_shows_no_digits(source: Source) -> None:
    browser = source.browser
    source.go("/en/")
    digits = source.tell(WORDS)
    browser.click(LEAVE)
    browser.until(lambda: not browser.count(DIGITS), "another page")
    browser.back()
    assert digits.split()[0] not in browser.text("body")
    assert browser.count(DIGITS) == 0


def test_going_back_to_the_form_finds_it_empty(source: Source) -> None:
    """Pages that a browser keeps alive to go back to must not keep the words alive."""
    browser = source.browser
    source.open_form()
    source.write(WORDS)
    source.go("/en/")
    browser.back()
    browser.wait(MESSAGE)
    assert browser.run(f"return document.querySelector('{MESSAGE}').value;") == ""
    assert WORDS not in browser.source()
