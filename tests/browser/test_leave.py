"""Leaving quickly: first on each page, with and without JavaScript, and nothing to come back to."""

from __future__ import annotations

from pathlib import Path

import pytest

from browser import lying
from browser.drivers import Level
from browser.pages import CODE, DIGITS, DOOR, FAILED, LEAVE, MAILBOX, MESSAGE, SEND, SENDING, STOP, WRITE, Source
from browser.test_lying_server import identifiers
from support.world import World
from tipbox.formats.access_code import AccessCode

WORDS = "Никто не должен это увидеть"
ELSEWHERE = lying.answer(b"<!doctype html><title>Elsewhere</title><p>Elsewhere", kind=b"text/html; charset=utf-8")
"""What somebody looked at before, which is no page of this site."""
ALL = pytest.mark.parametrize("level", list(Level), ids=lambda level: level.value)
FOCUSABLE = "a[href], button, input, textarea, select, summary, [tabindex]:not([tabindex='-1'])"


def first_focusable(source: Source) -> str:
    script = (
        f"""return [...document.querySelectorAll("{FOCUSABLE}")].find(one => one.getClientRects().length > 0).id;"""
    )
    return str(source.browser.run(script))


@ALL
def test_leave_is_the_first_stop_of_the_tab_key(source: Source) -> None:
    for path in ("/en/", "/en/send", "/en/inbox"):
        source.go(path)
        if path != "/en/" and source.browser.level is not Level.SAFEST:
            source.browser.wait("#app textarea")
            assert first_focusable(source) == "leave"
        else:
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
    """One round trip: a second one would take seconds more on a bad line."""
    browser = source.browser
    source.go("/en/")
    title = browser.source().partition("<title>")[2].partition("</title>")[0]
    assert title
    last = () if browser.level is Level.SAFEST else ("GET /api/now", "GET /static/worker.js")
    browser.until(lambda: all(map(source.wire.seen, last)), "the page to be whole")
    source.wire.forget()
    browser.click(LEAVE)
    browser.until(lambda: source.wire.seen("GET /leave"), "the one request")
    [left] = source.wire.seen()
    browser.until(lambda: b"\r\n\r\n" in left.raw_answer, "its answer")
    assert left.status == 200
    assert left.answer_headers["clear-site-data"] == '"*"'
    # By its address: a script that runs while one page takes the place of another may never end.
    end = "/leave" if browser.level is Level.SAFEST else "about:blank"
    browser.until(lambda: browser.address().endswith(end), "nothing of this site")
    assert title not in browser.source()
    page = browser.text("body").lower()
    assert not any(word in page for word in ("tip", "organisation", "message", "send", "anonym", "rights"))
    assert browser.count("a, input, textarea, script") == 0


@ALL
def test_back_after_leaving_leaves_the_site(source: Source) -> None:
    """The way through the site is one entry of the history, whatever links were followed."""
    browser = source.browser
    source.wire.answers["/elsewhere"] = ELSEWHERE
    source.go("/elsewhere")
    source.go("/en/")
    if browser.level is Level.SAFEST:
        browser.click(LEAVE)
        browser.until(lambda: not browser.count(LEAVE), "the neutral page")
        assert "/leave" in browser.address()
        return  # what a link cannot: without scripts Back shows the page that was left
    browser.click("main a.main")
    browser.wait(MESSAGE)
    source.write(WORDS)
    browser.click(LEAVE)
    browser.until(lambda: browser.address() == "about:blank", "the neutral page")
    browser.back()
    browser.until(lambda: browser.text("body") == "Elsewhere", "the page before this site")


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
            browser.until(lambda: browser.address() == "about:blank", "the neutral page")
        else:
            source.go("/en/")
        browser.back()
        assert WORDS not in browser.source()


def test_back_after_sending_shows_no_digits(source: Source) -> None:
    browser = source.browser
    source.go("/en/")
    digits = source.tell(WORDS)
    browser.click(LEAVE)
    browser.until(lambda: browser.address() == "about:blank", "another page")
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


def presses_write_before_any_script(source: Source) -> None:
    """Come from elsewhere, and press a link which then makes an entry of its own in the history."""
    browser, wire = source.browser, source.wire
    wire.answers["/elsewhere"] = ELSEWHERE
    source.go("/elsewhere")
    wire.stalled = lambda path: path in {"/static/start.js", "/static/page.js"}
    browser.begin(browser.url(wire.port, "/en/"))
    browser.wait(DOOR.format("write"))
    browser.click(DOOR.format("write"))


def leaves_without_a_way_back(source: Source) -> None:
    """Leave: Back finds the page before this site, Forward nothing of it."""
    browser = source.browser
    browser.click(LEAVE)
    browser.until(lambda: browser.address() == "about:blank", "the neutral page")
    browser.back()
    browser.until(lambda: browser.text("body") == "Elsewhere", "the page before this site", 30)
    browser.run("setTimeout(() => history.go(2), 100);")
    browser.until(lambda: browser.address().endswith("/leave"), "the neutral page", 30)


@pytest.mark.parametrize("level", [Level.CHROMIUM, Level.SAFER], ids=lambda level: level.value)
@pytest.mark.parametrize("late", ["/static/page.js", "/static/start.js"])
def test_a_link_that_was_pressed_before_any_script_came_leads_back_to_nothing(source: Source, late: str) -> None:
    """It makes an entry of its own in the history: neither Back nor Forward finds the site after leaving."""
    browser, wire = source.browser, source.wire
    presses_write_before_any_script(source)
    wire.stalled = lambda path: path == late == "/static/page.js"  # Leave works from the first script on
    browser.wait(MESSAGE)
    source.write(WORDS)
    leaves_without_a_way_back(source)
    assert len(wire.seen("GET /en/")) == 1


@pytest.mark.parametrize("level", [Level.CHROMIUM, Level.SAFER], ids=lambda level: level.value)
def test_who_wrote_back_and_leaves_finds_the_site_neither_by_back_nor_by_forward(
    source: Source, pages_world: World
) -> None:
    browser, wire = source.browser, source.wire
    access_code = AccessCode.generate()
    ids = identifiers(pages_world)
    reply = lying.Mailboxes(access_code.secrets(), list(ids.values())).reply(ids["kibhr"], WORDS)
    wire.answers["/elsewhere"] = ELSEWHERE
    wire.answers["/api/mailbox"] = lying.mailbox([reply])
    source.go("/elsewhere")
    source.open_mailbox(access_code.digits())
    browser.click(WRITE)
    browser.wait(MESSAGE)
    browser.click("#app [data-part=answers]")
    browser.wait(MAILBOX)
    leaves_without_a_way_back(source)


@pytest.mark.parametrize("level", [Level.CHROMIUM, Level.SAFER], ids=lambda level: level.value)
def test_another_language_takes_the_place_of_what_a_link_has_made(source: Source) -> None:
    browser, wire = source.browser, source.wire
    presses_write_before_any_script(source)
    wire.stalled = lambda path: path == "/static/page.js"
    browser.wait(MESSAGE)
    browser.click("#languages a[lang=ru]")
    browser.until(lambda: "/ru/" in browser.address(), "the page in Russian", 30)
    wire.stalled = lambda _path: False
    browser.until(lambda: wire.seen("GET /api/now"), "the page's own script", 30)
    leaves_without_a_way_back(source)
