"""Every request that a page makes, and what it weighs."""
# ruff: noqa: RUF001 (people write in Russian and Kazakh)

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from browser.drivers import Level
from browser.pages import CODE, DOOR, READY, SENDING, Source, allowed_host, spellings
from browser.wire import Exchange

TEXT_LETTERS = "Мы были на площади. "
ENDPOINTS = (
    r"GET /en/",
    r"GET /static/[A-Za-z0-9._-]+",
    r"PUT /api/envelope",
    r"PUT /api/envelope/parts/\d+",
    r"GET /api/envelope",
    r"GET /api/(now|toll)",
    r"POST /api/envelope/finish",
    r"POST /api/mailbox(/piece|/delete)?",
)
TOKEN = re.compile(r"Bearer [A-Za-z0-9_-]{43}")
MAKERS = re.compile(r"(^|\.)(google\.com|googleapis\.com|gvt1\.com|mozilla\.(com|net|org)|firefox\.com)$")
"""Hosts that browsers ask by themselves; the sink lets nothing through."""


def assert_proper(source: Source, one: Exchange) -> None:
    """Only this host, only the protocol's endpoints, nothing in a URL, no cookie."""
    level = source.browser.level
    assert any(re.fullmatch(pattern, f"{one.method} {one.target}") for pattern in ENDPOINTS), one.target
    assert one.headers["host"] == f"{allowed_host(level)}:{source.wire.port}"
    assert "cookie" not in one.headers
    assert "set-cookie" not in one.answer_headers
    assert one.answer_headers["cache-control"] == "no-store"
    if one.target.startswith("/api/") and one.target not in {"/api/now", "/api/toll"}:
        assert TOKEN.fullmatch(one.headers["authorization"])
    else:
        assert "authorization" not in one.headers
    if "referer" in one.headers:
        assert one.headers["referer"].startswith(f"http://{one.headers['host']}/")


def test_requests_go_to_this_host_and_carry_no_text(source: Source, tmp_path: Path) -> None:
    words = "Имя убитого называть рано"
    file = tmp_path / "фамилии свидетелей.txt"
    file.write_text("Список очевидцев событий " * 9_000, encoding="utf-8")
    outside = len(source.browser.sink.hosts)
    source.go("/en/")
    source.browser.click("main a.main")
    source.browser.wait("#app textarea")
    source.choose_all()
    source.write(words)
    source.attach(file)
    source.send()
    source.wait_stored()

    seen = source.wire.seen()
    assert [one.method for one in seen if one.method != "GET"][:1] == ["PUT"]
    assert seen[-1].target == "/api/envelope/finish"
    tokens = set()
    for one in seen:
        assert_proper(source, one)
        assert len(one.body) == one.sent == one.announced
        tokens.add(one.headers.get("authorization"))
        for text in (words, file.name, file.stem, "Список очевидцев событий"):
            assert not any(spelling in one.head or spelling in one.body for spelling in spellings(text))
    assert len(tokens - {None}) == 2, "one upload of the words, one of the file"
    assert all(MAKERS.search(host) for host in source.browser.sink.hosts[outside:])


def test_what_is_sent_unsealed_would_be_seen(source: Source) -> None:
    """The search above finds a text that really leaves."""
    words = "Имя убитого называть рано"
    source.go("/en/")
    source.browser.run(f"await fetch('/api/envelope', {{ method: 'PUT', body: 'xx{words}' }});")
    [one] = source.wire.seen("PUT")
    assert any(spelling in one.body for spelling in spellings(words))
    source.browser.run(f"await fetch('/en/send?{words}');")
    assert any(spelling in source.wire.seen("GET /en/send")[-1].head for spelling in spellings(words))


def arrived(one: Exchange) -> bool:
    """Whether it was answered, and the answer came to its end: what the line keeps away is asked for again."""
    if b"\r\n\r\n" not in one.raw_answer or one.status != 200:
        return False
    return len(bytes(one.raw_answer).partition(b"\r\n\r\n")[2]) == int(one.answer_headers["content-length"])


def packed(exchanges: Iterable[Exchange]) -> int:
    return sum(len(gzip.compress(one.answer_body, 9, mtime=0)) for one in exchanges)


def test_the_page_is_small_and_nothing_of_it_is_fetched_twice(
    source: Source, record_size: Callable[[str, int], None]
) -> None:
    """Cold, from the start to the form and to the field for a code: one document, what it names, and one JSON."""
    source.go("/en/")
    source.browser.click(DOOR.format("write"))
    source.browser.wait(READY)
    source.browser.click(DOOR.format("start"))
    source.browser.click(DOOR.format("read"))
    source.browser.wait(CODE)
    asked = [(one.target, bytes(one.raw_answer[:12]), one.received) for one in source.wire.seen()]
    whole = [one for one in source.wire.seen() if arrived(one)]
    # Keys and prices come as one JSON beside them; manifests weigh what the organisations' keys weigh.
    assert [one.target for one in whole if one.target.startswith("/api/")] == ["/api/now"], asked
    seen = [one for one in whole if one.target != "/api/now"]
    [document, *named] = seen
    assert document.target == "/en/"
    assert len({one.target for one in named}) == len(named) <= 4, asked
    assert all(f'"{one.target}"'.encode() in document.answer_body for one in named)
    assert packed(seen) <= 60_000
    assert packed(one for one in seen if not one.target.endswith(".js")) <= 15_000, "what counts without JavaScript"
    name = source.browser.level.value
    record_size(f"page as gzip in {name}", packed(seen))
    record_size(f"page and keys on the wire in {name}", source.wire.traffic)


def test_a_text_costs_little(source: Source, record_size: Callable[[str, int], None]) -> None:
    """7.8 kB of text to three organisations: at most 16 kB in both directions, with all HTTP headers."""
    source.open_form()
    text = (TEXT_LETTERS * 400).encode()[:7800].decode(errors="ignore")
    assert 7790 <= len(text.encode()) <= 7800
    source.write(text)
    source.wire.forget()
    source.send()
    source.wait_stored()
    assert [f"{one.method} {one.target}" for one in source.wire.seen()] == ["PUT /api/envelope"]
    assert source.wire.traffic <= 16_000
    assert source.wire.seen()[0].sent == 12_312
    record_size(f"text of 7.8 kB on the wire from {source.browser.level.value}", source.wire.traffic)


def test_letters_of_all_choices_weigh_the_same(source: Source) -> None:
    """Nobody who sees sizes learns how many organisations were chosen, nor how long a short text is."""
    sizes = set()
    for text, chosen in (("a", 1), ("б" * 2000, 2), ("в" * 1000, 3)):
        source.open_form()
        source.write(text)
        source.choose_only(*source.organisations()[:chosen])
        source.wire.forget()
        source.send()
        source.wait_stored()
        assert source.browser.count(SENDING) == 0
        [one] = source.wire.seen("PUT")
        sizes.add(one.announced)
    assert sizes == {120 + 3 * 1296 + 8192 + 16 + 3 * 32}


OLDER = "const now = Date.now(); Date.now = () => now + 4 * 3_600_000;"


@pytest.mark.parametrize("level", [Level.CHROMIUM], ids=lambda level: level.value)
def test_what_is_hours_old_is_asked_for_again_before_anything_is_sent(source: Source) -> None:
    """Keys may have gone meanwhile; the button is pressed once, and nothing is to be loaded again."""
    source.open_form()
    source.write("Страница открыта со вчерашнего дня")
    source.wire.forget()
    source.browser.run(OLDER)
    source.send()
    source.wait_stored()
    assert [f"{one.method} {one.target}" for one in source.wire.seen()] == ["GET /api/now", "PUT /api/envelope"]


@pytest.mark.parametrize("level", [Level.CHROMIUM], ids=lambda level: level.value)
def test_a_press_that_waits_sends_nothing_once_the_form_was_left(source: Source) -> None:
    browser, wire = source.browser, source.wire
    source.open_form()
    source.write("Ещё не всё")
    wire.forget()
    wire.stalled = lambda path: path == "/api/now"
    browser.run(OLDER)
    source.send()
    browser.until(lambda: wire.seen("GET /api/now"), "the question")
    for door in ("start", "write"):
        browser.click(DOOR.format(door))
    wire.stalled = lambda _path: False
    browser.wait(READY)
    assert wire.seen("PUT") == []
    source.send()
    source.wait_stored()
