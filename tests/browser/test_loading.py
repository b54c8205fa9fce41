"""Loading over a line that breaks: a broken line is called one, and nothing that was loaded or written is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sized
from functools import partial
from pathlib import Path

import pytest

from browser import lying
from browser.drivers import Level
from browser.pages import CODE, DOOR, FAILED, JUDGED, LEAVE, LOADING, MESSAGE, READY, SEND, STOP, Source
from browser.test_lying_server import identifiers
from support.world import World
from tipbox.formats.access_code import AccessCode

WORDS = "Пишу, пока грузится"
BROKEN = "The connection broke while this page was loading"
LATE = ("/static/worker.js", "/api/now")
"""What may come after the field."""
SCREENS = "/static/opened.js"
NEUTRAL = "the neutral page"
"""Each test that leaves waits for it: Playwright may wait for ever to close a page that is on its way there."""
TRIES = 6
MOST = 20
"""Requests that a browser makes of one, when its connections end: Firefox repeats it ten times, and more under load."""
ONE_BROWSER = pytest.mark.parametrize("level", [Level.CHROMIUM, Level.SAFER], ids=lambda level: level.value)


def blames_nobody(source: Source) -> None:
    assert "cannot seal" not in source.browser.text("body")
    assert source.browser.count(FAILED) == 0


@pytest.mark.parametrize("target", LATE)
def test_the_field_is_there_before_what_seals_and_only_the_button_waits(source: Source, target: str) -> None:
    browser, wire = source.browser, source.wire
    wire.blocked = lambda path: path == target
    source.go("/en/send")
    browser.wait(MESSAGE)
    source.write(WORDS)
    browser.until(lambda: BROKEN in browser.text(LOADING), "words about the line")
    assert "tries again by itself" in browser.text(LOADING)
    assert "Preparing" in browser.text(SEND)
    assert browser.count(READY) == 0
    browser.run(f"document.querySelector('{SEND}').click();")
    blames_nobody(source)
    assert wire.seen("PUT") == wire.seen("POST") == []
    wire.blocked = lambda _path: False
    browser.wait(READY, 60)
    assert BROKEN not in browser.text(LOADING)
    assert browser.run(f"return document.querySelector('{MESSAGE}').value;") == WORDS
    source.choose_all()
    source.send()
    source.wait_stored()
    assert len([one for one in wire.seen() if one.target == "/static/page.js"]) == 1


ASKS = """
    const page = window.wrappedJSObject ?? window;
    const event = new page.Event("beforeunload", { cancelable: true });
    page.dispatchEvent(event);
    return event.defaultPrevented;
"""
FIRST_FIELD = f"""
    const field = document.querySelector("{MESSAGE}");
    return [field.value, document.activeElement === field, document.querySelectorAll("#app button").length];
"""


@ONE_BROWSER
def test_the_field_is_there_before_the_pages_own_script_and_keeps_what_is_typed(source: Source) -> None:
    """Words, place of the cursor, and the question before all of it is lost; the rest of the form comes around it."""
    browser, wire = source.browser, source.wire
    wire.blocked = lambda path: path == "/static/page.js"
    source.go("/en/send")
    browser.wait(MESSAGE)
    assert not browser.run(ASKS)
    browser.run(f"document.querySelector('{MESSAGE}').focus();")
    source.write(WORDS)
    browser.until(lambda: BROKEN in browser.text(LOADING), "words about the line")
    assert browser.run(FIRST_FIELD) == [WORDS, True, 0], "nothing that does not work yet"
    assert browser.run(ASKS)
    assert browser.run("return document.getElementById('languages').hidden;")
    blames_nobody(source)
    wire.blocked = lambda _path: False
    browser.wait(READY, 60)
    assert browser.text(LOADING).strip() == ""
    assert browser.run(FIRST_FIELD)[:2] == [WORDS, True]
    assert browser.run(ASKS)
    assert browser.run("return document.getElementById('languages').hidden;")
    source.choose_all()
    source.send()
    source.wait_stored()
    browser.fresh()
    wire.blocked = lambda path: path == "/static/page.js"
    source.go("/en/")
    browser.click(DOOR.format("write"))
    source.write(WORDS)
    left = browser.run(f"""
        const field = document.querySelector("{MESSAGE}");
        document.querySelector("{LEAVE}").click();
        return [field.value, document.body.childElementCount];
    """)
    assert left == ["", 0]
    browser.until(lambda: browser.address() == "about:blank", NEUTRAL)


LATE_FIRST_SCRIPT = """
    const page = window.wrappedJSObject ?? window;
    const { src, dataset } = document.querySelector("script[data-page]");
    const script = document.createElement("script");
    Object.assign(script.dataset, dataset);
    script.src = src;
    script.addEventListener("load", () => page.dispatchEvent(new page.Event("load")));
    document.head.append(script);
"""


@ONE_BROWSER
@pytest.mark.parametrize("again", [False, True])
def test_back_from_the_early_field_shows_the_start_and_keeps_the_words(source: Source, *, again: bool) -> None:
    """A link pressed before any script came made an entry: Back leaves it once, also when the page's script comes."""
    browser, wire = source.browser, source.wire
    wire.answers["/elsewhere"] = lying.answer(b"Elsewhere", kind=b"text/html")
    source.go("/elsewhere")
    wire.blocked = lambda path: path.endswith(".js")
    source.go("/en/")
    browser.until(lambda: browser.run("return document.readyState;") == "complete", "the page without its scripts")
    browser.click(DOOR.format("write"))
    wire.blocked = lambda path: path == "/static/page.js"
    browser.run(LATE_FIRST_SCRIPT)
    browser.wait(MESSAGE)
    source.write(WORDS)
    browser.back()
    browser.until(lambda: browser.count(DOOR.format("write")), "the start")
    assert browser.run(ASKS)
    if again:
        browser.click(DOOR.format("write"))
        browser.wait(MESSAGE)
    wire.blocked = lambda _path: False
    browser.until(
        lambda: not asked(source) and browser.run("return (window.wrappedJSObject ?? window).begun.isPageThere;"),
        "the page's script",
    )
    if not again:
        browser.click(DOOR.format("write"))
    browser.wait(READY, 60)
    assert browser.run(f"return document.querySelector('{MESSAGE}').value;") == WORDS
    assert browser.run(ASKS)


def asked(source: Source) -> bool:
    """Whether the page asks for help; before that its waits are cut short, as when the device finds a network."""
    source.browser.run("const page = window.wrappedJSObject ?? window; page.dispatchEvent(new page.Event('online'));")
    return source.browser.count(f"{LOADING} button") > 0


@ONE_BROWSER
@pytest.mark.parametrize("target", LATE)
def test_after_some_tries_the_source_is_asked(source: Source, target: str) -> None:
    browser, wire = source.browser, source.wire
    wire.blocked = lambda path: path == target
    source.go("/en/send")
    browser.until(lambda: asked(source), "the button", 120)
    # A browser itself repeats a request whose connection had carried another one before.
    assert TRIES <= len(wire.seen(f"GET {target}")) <= MOST * TRIES
    assert BROKEN in browser.text(LOADING)
    assert "by itself" not in browser.text(LOADING)
    blames_nobody(source)
    wire.blocked = lambda _path: False
    browser.click(f"{LOADING} button")
    browser.wait(READY, 60)
    assert browser.text(LOADING).strip() == ""


@pytest.mark.parametrize("target", LATE)
def test_half_of_what_comes_late_is_as_good_as_none(source: Source, target: str) -> None:
    browser, wire = source.browser, source.wire
    source.open_form()
    whole = wire.seen(f"GET {target}")[-1]  # on a busy machine the page may have given one up
    body = whole.answer_body
    half = lying.answer(body[: len(body) // 2], kind=whole.answer_headers["content-type"].encode())
    head, _, _ = half.partition(b"\r\n\r\n")
    browser.fresh()
    if target == "/api/now":  # it ends before it should: so much of an answer is none
        half = (
            head.replace(b"Content-Length: %d" % (len(body) // 2), b"Content-Length: %d" % len(body))
            + half[len(head) :]
        )
        wire.cut_after[target] = half
    else:
        wire.answers[target] = half
    source.go("/en/send")
    browser.until(lambda: BROKEN in browser.text(LOADING), "words about the line", 60)
    blames_nobody(source)
    wire.answers.clear()
    wire.cut_after.clear()
    browser.wait(READY, 60)


def test_a_page_whose_script_the_line_broke_fetches_it_again(source: Source) -> None:
    browser, wire = source.browser, source.wire
    wire.blocked = lambda path: path == "/static/page.js"
    source.go("/en/")
    browser.until(lambda: BROKEN in browser.text(LOADING), "words about the line")
    browser.click(DOOR.format("write"))  # it leads nowhere else, and is heard when the script comes
    wire.blocked = lambda _path: False
    browser.wait(READY, 60)
    assert browser.text(LOADING).strip() == ""
    assert len(wire.seen("GET /en/")) == len(wire.seen("GET /static/worker.js")) == 1


def test_while_no_script_has_come_a_link_of_the_start_says_what_to_do(source: Source) -> None:
    browser, wire = source.browser, source.wire
    wire.blocked = lambda path: path.endswith(".js")
    source.go("/en/")
    # As long as a page loads, Firefox may jump once more to where a link has led, and put the next one below the bar.
    browser.until(lambda: browser.run("return document.readyState;") == "complete", "the page without its scripts")
    shown = "return document.querySelector('.late').getClientRects().length;"
    assert browser.run(shown) == 0
    for door in ("write", "read", "continue"):
        browser.run("scrollTo(0, 0);")  # the bar may lie over what a jump has moved
        browser.click(DOOR.format(door))
        assert browser.run(shown) == 1
    assert "still loading" in browser.text("#app")
    assert len(wire.seen("GET /en/")) == 1


def test_nobody_writes_before_the_first_script_has_come_by_which_they_leave(source: Source) -> None:
    browser, wire = source.browser, source.wire
    wire.blocked = lambda path: path == "/static/start.js"
    source.go("/en/send")
    browser.until(lambda: BROKEN in browser.text(LOADING), "words about the line")
    assert browser.count(MESSAGE) == 0
    wire.blocked = lambda _path: False
    browser.wait(READY, 60)
    assert browser.text(LOADING).strip() == ""
    source.write(WORDS)
    left = browser.run(f"""
        document.querySelector("{LEAVE}").click();
        return document.body.childElementCount;
    """)
    assert left == 0
    browser.until(lambda: browser.address() == "about:blank", NEUTRAL)


@ONE_BROWSER
def test_a_script_that_stalls_is_asked_for_again(source: Source) -> None:
    """The page's own, or the first; a minute's wait is cut short, as when the document has all that it names."""
    browser, wire = source.browser, source.wire
    for name in ("/static/page.js", "/static/start.js"):
        asked_for = partial(wire.seen, f"GET {name}")
        browser.fresh()
        wire.forget()
        wire.stalled = partial(stalls_once, name, asked_for)
        browser.begin(browser.url(wire.port, "/en/send"))
        browser.until(asked_for, "the script to be asked for")
        browser.until(partial(loads, source), "the form", 60)


def stalls_once(name: str, asked_for: Callable[[], Sized], path: str) -> bool:
    return path == name and len(asked_for()) == 1


def loads(source: Source) -> bool:
    source.browser.run("const page = window.wrappedJSObject ?? window; page.dispatchEvent(new page.Event('load'));")
    return source.browser.count(READY) > 0


ONLINE = """
    const page = window.wrappedJSObject ?? window;
    const dispatch = () => page.dispatchEvent(new page.Event("online"));
    dispatch();
    dispatch();
"""


@ONE_BROWSER
def test_half_a_document_has_no_field_and_is_loaded_again(source: Source) -> None:
    browser, wire = source.browser, source.wire
    source.go("/en/")
    whole = bytes(wire.seen("GET /en/")[-1].answer_body)
    half = whole[: whole.index(b'id="words"')]
    head, _, _ = lying.answer(whole, kind=b"text/html; charset=utf-8").partition(b"\r\n\r\n")
    browser.fresh()
    wire.forget()
    wire.answers["/en/"] = head + b"\r\n\r\n" + half  # and the line stands still
    browser.begin(browser.url(wire.port, "/en/#write"))
    browser.until(lambda: wire.seen("GET /static/worker.js"), "what the first script asks for")
    assert browser.count(MESSAGE) == 0
    wire.answers.clear()
    # As when a network comes back, which cuts the half minute short in which nothing comes.
    browser.run(ONLINE)
    browser.wait(READY, 60)


@ONE_BROWSER
def test_a_document_whose_other_half_comes_before_it_is_loaded_again_stays(source: Source) -> None:
    """Whether the line answers is asked first, which takes as long as it takes people to begin to write."""
    browser, wire = source.browser, source.wire
    source.go("/en/")
    whole = bytes(wire.seen("GET /en/")[-1].answer_body)
    head, _, _ = lying.answer(whole, kind=b"text/html; charset=utf-8").partition(b"\r\n\r\n")
    middle = whole.index(b'<div id="words"')
    browser.fresh()
    wire.forget()
    wire.answers["/en/"] = head + b"\r\n\r\n" + whole[:middle]
    browser.begin(browser.url(wire.port, "/en/#write"))
    browser.until(lambda: wire.seen("GET /static/worker.js"), "what the first script asks for")
    wire.answers.clear()
    wire.stalled = lambda path: path == "/en/"
    browser.run(ONLINE)
    browser.until(lambda: wire.seen("HEAD /en/"), "the line to be asked")
    browser.run(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(whole[middle:].decode())});")
    wire.stalled = lambda _path: False
    browser.until(lambda: wire.seen("HEAD /en/")[0].raw_answer, "the answer")
    browser.run("void (window.wrappedJSObject ?? window).fetch('/blank');")
    browser.until(lambda: wire.seen("GET /blank"), "what is asked for after that")
    assert wire.seen("GET /en/") == []


def test_a_code_that_is_typed_before_the_worker_comes_is_judged_and_opened(source: Source, pages_world: World) -> None:
    browser, wire = source.browser, source.wire
    access_code = AccessCode.generate()
    ids = identifiers(pages_world)
    reply = lying.Mailboxes(access_code.secrets(), list(ids.values())).reply(ids["kibhr"], "Спасибо")
    wire.answers["/api/mailbox"] = lying.mailbox([reply])
    wire.blocked = lambda path: path in {*LATE, "/static/read.js", SCREENS}
    source.type_code(access_code.digits())
    browser.until(lambda: BROKEN in browser.text(LOADING), "words about the line")
    browser.click("#app [data-part=open]")
    blames_nobody(source)
    wire.blocked = lambda path: path in {"/static/read.js", SCREENS}
    browser.until(lambda: "goes on by itself" in browser.text("#app"), "words of the line")
    assert "Opening" in browser.text("#app")
    assert wire.seen("POST") == []
    wire.blocked = lambda path: path == SCREENS
    browser.until(lambda: "goes on by itself" not in browser.text("#app"), "the half that reads", 60)
    browser.until(lambda: asked(source), "the button for the answers' screens", 120)
    assert len(wire.seen(f"GET {SCREENS}")) >= TRIES
    assert BROKEN in browser.text(LOADING)
    assert "Opening" in browser.text("#app")
    wire.blocked = lambda _path: False
    browser.click(f"{LOADING} button")
    browser.until(source.answers, "the answer", 60)
    assert browser.text(LOADING).strip() == ""
    assert [one.text for one in source.answers()] == ["Спасибо"]


def test_doors_change_the_screen_and_keep_what_was_written(source: Source) -> None:
    """And what is said of a code is said where it is typed."""
    browser = source.browser
    entries = "return history.length;"
    source.go("/en/")
    before = browser.run(entries)
    browser.click(DOOR.format("write"))
    browser.wait(READY)
    source.write(WORDS)
    browser.click(DOOR.format("start"))
    browser.click(DOOR.format("continue"))
    browser.wait(CODE)
    browser.click(DOOR.format("start"))
    browser.click(DOOR.format("read"))
    browser.wait(CODE)
    source.wire.blocked = lambda path: "/words-" in path
    browser.type(CODE, "abacus abdomen")
    browser.until(lambda: "Loading" in browser.text(JUDGED), "a word on what is typed")
    browser.until(lambda: "connection is broken" in browser.text("#app"), "a word on the line")
    source.wire.blocked = lambda _path: False
    browser.click(DOOR.format("start"))
    browser.click(DOOR.format("write"))
    assert browser.run(f"return document.querySelector('{MESSAGE}').value;") == WORDS
    assert browser.run(entries) == before, "Back leaves the site"
    assert browser.address().endswith("/en/")


LATER = "#app label[data-part=later] input"
WORDS_STORED = "#app [data-part=words-stored]"
HELD_BACK = {"/static/continuing.js", "/static/toll.js"}


@ONE_BROWSER
def test_no_script_that_stalls_keeps_words_from_being_sent_nor_stop_from_being_heard(
    source: Source, tmp_path: Path
) -> None:
    """A line or a server that holds one back delays what needs it, and nothing else."""
    browser, wire = source.browser, source.wire
    photo = tmp_path / "Площадь.jpg"
    photo.write_bytes(bytes(40_000))
    wire.stalled = lambda path: path in HELD_BACK
    source.open_form()
    source.write(WORDS)
    source.attach(photo)
    browser.click(LATER)
    source.send()
    shown = f"return document.querySelector('{WORDS_STORED}')?.getClientRects().length > 0;"
    browser.until(lambda: browser.run(shown), "the words to be there", 30)
    browser.until(lambda: wire.seen("GET /static/continuing.js"), "what makes capsules to be asked for")
    browser.click(STOP)
    source.wait_stored(30)

    source.open_form()
    source.write(WORDS)
    wire.answers["/api/envelope"] = lying.toll(1)
    source.send()
    browser.until(lambda: wire.seen("GET /static/toll.js"), "what pays to be asked for")
    browser.click(STOP)
    assert "Stopped" in source.wait_failed(30)


@ONE_BROWSER
def test_who_waits_until_somebody_takes_something_keeps_the_words(source: Source) -> None:
    """What the server said is asked for again, not the whole page."""
    browser, wire = source.browser, source.wire
    real = source.now()
    wire.blocked = lambda path: path == "/api/now"
    source.go("/en/send")
    browser.wait(MESSAGE)
    source.write(WORDS)
    wire.answers["/api/now"] = lying.now(real, manifests=[])
    wire.blocked = lambda _path: False
    browser.until(lambda: "Nothing can be sealed" in browser.text("#app"), "a word about keys")
    wire.answers.clear()
    browser.click(FAILED)
    browser.wait(READY)
    assert browser.run(f"return document.querySelector('{MESSAGE}').value;") == WORDS
    source.choose_all()
    source.send()
    source.wait_stored()
