"""No field exists where nothing can be sealed, and no text can leave (security.md 1)."""

from __future__ import annotations

import re

import pytest

from browser.drivers import Level
from browser.pages import CODE, DOOR, FAILED, FIELDS, MESSAGE, Source, spellings

WORDS = "Свидетель видел всё"
PAGES = ("/en/", "/en/send", "/en/inbox")
AT_SAFEST = pytest.mark.parametrize("level", [Level.SAFEST], ids=lambda level: level.value)


def assert_nothing_can_leave(source: Source) -> None:
    """Type wherever the focus goes: no field takes it, no request carries it."""
    browser, wire = source.browser, source.wire
    assert browser.count(FIELDS) == 0
    for _ in range(4):
        browser.press(WORDS)
        browser.tab()
    assert WORDS not in browser.source()
    browser.open(browser.url(wire.port, "/"))
    seen = wire.seen()
    assert all(one.method == "GET" and one.announced == 0 for one in seen)
    for spelling in spellings(WORDS):
        assert not any(spelling in one.head or spelling in one.body for one in seen)


def test_with_scripts_there_are_fields(source: Source) -> None:
    """What the other tests look for is found where it belongs."""
    source.open_form()
    assert source.browser.count(FIELDS) >= 3


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("level", list(Level), ids=lambda level: level.value)
def test_without_scripts_no_field_exists(source: Source, path: str) -> None:
    source.wire.blocked = lambda target: target.partition("?")[0].endswith(".js")
    source.go(path)
    assert_nothing_can_leave(source)


def test_with_half_a_script_no_field_exists(source: Source) -> None:
    """A line that breaks within the script leaves a page without fields, not one that half works."""
    wire = source.wire
    source.open_form()
    scripts = {one.target: one for one in wire.seen("GET /static/") if one.target.endswith(".js")}
    assert scripts.keys() == {"/static/start.js", "/static/page.js", "/static/worker.js"}
    for target in ("/static/start.js", "/static/page.js"):
        one = scripts[target]
        body = one.answer_body[: len(one.answer_body) // 2]
        headers = (b"HTTP/1.1 200 OK", b"Content-Type: text/javascript", b"Content-Length: %d" % len(body))
        isolation = (b"Cross-Origin-Resource-Policy: same-origin", b"Cross-Origin-Embedder-Policy: require-corp")
        wire.answers[target] = b"\r\n".join((*headers, *isolation, b"", body))
    source.browser.fresh()
    source.go("/en/send")
    source.browser.until(lambda: source.browser.run("return document.readyState;") == "complete", "the page")
    assert_nothing_can_leave(source)


@pytest.mark.parametrize(("path", "field"), [("/en/send", MESSAGE), ("/en/inbox", CODE)])
def test_without_crypto_no_field_exists_and_the_page_says_so(source: Source, path: str, field: str) -> None:
    browser = source.browser
    with browser.allow_onion(secure=False):
        source.go(path, secure=False)
        assert browser.run("return [isSecureContext, typeof crypto.subtle];") == [False, "undefined"]
        text = browser.text("#app")
        assert "cannot seal" in text
        assert "Tor Browser" in text
        assert browser.count(f"{FAILED}:not([hidden])") == 0  # there is no form to go back to
        assert_nothing_can_leave(source)
        browser.fresh()
    source.go(path)  # the same browser, with crypto.subtle
    browser.wait(field)
    assert browser.count(field) == 1


@AT_SAFEST
def test_at_safest_no_way_in_says_to_wait(source: Source) -> None:
    """Nothing would ever come: each leads to what to do."""
    for door in ("write", "read", "continue"):
        source.go("/en/")  # after a jump the bar may lie over the next link
        source.browser.click(DOOR.format(door))
        assert source.browser.address().endswith(f"#{door}")
        said = source.browser.text("#app")
        assert "still loading" not in said
        assert "scripts of this page do not run" in said


@AT_SAFEST
@pytest.mark.parametrize("path", ["/en/send", "/en/inbox"])
def test_safest_says_what_to_do(source: Source, path: str) -> None:
    browser = source.browser
    source.go(path)
    text = browser.text("body")
    assert re.search(r"security level", text)
    assert re.search(r"tipbox", text)
    assert_nothing_can_leave(source)
