"""Nothing is kept in the browser, and nothing goes wrong in its console."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from browser import lying
from browser.drivers import Level
from browser.pages import MESSAGE, SEND, Source, kept_files, spellings

WORDS = "Чёрная машина без номеров"
COPIED = "#app [data-part=copied]"
"""Says that the code is on paper."""
FIRST_BOX = "#app .boxes > :nth-child(1) input"
"""Takes the whole code when it is pasted."""
STORAGE = """
    const attempt = async action => {
        try { return await action(); } catch (error) { return `refused: ${error.name}`; }
    };
    const page = window.wrappedJSObject ?? window;
    return JSON.stringify({
        cookie: await attempt(() => document.cookie),
        local: await attempt(() => localStorage.length),
        session: await attempt(() => sessionStorage.length),
        caches: await attempt(async () => (await caches.keys()).length),
        databases: await attempt(async () => (await indexedDB.databases()).length),
        workers: await attempt(async () => (await navigator.serviceWorker.getRegistrations()).length),
        state: history.state === null,
        name: window.name,
        resources: performance.getEntriesByType("resource").map(one => new URL(one.name).host === location.host),
    });
"""


def test_nothing_is_stored_and_nothing_goes_wrong(source: Source, tmp_path: Path) -> None:
    file = tmp_path / "ещё одно имя.txt"
    file.write_text(WORDS * 5_000, encoding="utf-8")
    source.go("/en/")
    source.browser.click("main a.main")
    source.browser.wait(MESSAGE)
    source.choose_all()
    source.write(WORDS)
    source.attach(file)
    source.send()
    source.wait_stored()

    kept = json.loads(source.browser.run(STORAGE))
    assert kept.pop("cookie") == ""
    assert kept.pop("state") is True
    assert kept.pop("name") == ""
    assert all(kept.pop("resources"))
    assert all(value == 0 or str(value).startswith("refused") for value in kept.values()), kept
    assert source.browser.cookies() == 0
    assert source.browser.complaints() == []


def test_pages_bring_nothing_to_the_console(source: Source) -> None:
    for path in ("/en/", "/en/send", "/en/inbox", "/no-such-page", "/leave"):
        source.go(path)
    complaints = source.browser.complaints()
    # Chromium reports each answer of 404, Firefox what a page that was left has it clear.
    told = "status of 404" if source.browser.level is Level.CHROMIUM else "Clear-Site-Data header forced the clean up"
    assert [line for line in complaints if told not in line] == []


def test_the_console_is_heard(source: Source) -> None:
    """Errors and violations of the policy, on a page and in its script, would have been seen."""
    source.go("/en/")
    source.browser.run("""
        const image = document.createElement("img");
        image.src = "http://outside.example/picture.png";
        document.body.append(image);
        await new Promise(done => image.addEventListener("error", done));
    """)
    source.browser.until(source.browser.complaints, "a complaint")
    assert any("outside.example" in line for line in source.browser.complaints())


def test_nothing_reaches_the_disk(source: Source) -> None:
    """The browser's own folder holds no word of what was written and sent in a private window."""
    digits = source.tell(WORDS)
    needles = [needle for text in (WORDS, digits, digits.replace(" ", "")) for needle in spellings(text)]
    files = kept_files(source.browser.folder)
    assert len(files) > 10
    for path, content in files.items():
        assert not any(needle in content for needle in needles), path.name


def test_digits_can_be_checked_from_paper(source: Source) -> None:
    digits = source.tell(WORDS)
    browser = source.browser
    browser.click(COPIED)
    browser.fill(FIRST_BOX, digits[:-1] + ("1" if digits[-1] == "0" else "0"))
    browser.until(lambda: "group 6" in browser.text("#app"), "the group that is wrong")
    browser.fill(FIRST_BOX, digits.replace(" ", ""))
    browser.until(lambda: "Right" in browser.text("#app"), "a yes")
    assert browser.count(SEND) == 0


def test_words_are_shown_when_asked_for_and_checked_from_paper(
    source: Source, record_size: Callable[[str, int], None]
) -> None:
    """The list comes only then, costs what the page says, and is all that passes."""
    digits = source.tell(WORDS)
    # Heads from before there was a code, and the list's own name: words like "host" and "static" stand in the list too.
    usual = b"".join(one.head for one in source.wire.seen() if one.method == "GET").lower() + b"/static/words-en.txt"
    source.wire.forget()
    words = source.words()
    [one] = source.wire.seen()
    assert (one.method, one.target, one.status) == ("GET", "/static/words-en.txt", 200)
    assert "authorization" not in one.headers
    assert one.wire_size <= 30_000
    assert len(words) == 9
    browser = source.browser
    browser.click(COPIED)
    field = "#app [data-part=again] textarea"
    browser.fill(field, " ".join([*words[:3], "zoom" if words[3] != "zoom" else "zone", *words[4:]]))
    browser.until(lambda: "word 4" in browser.text("#app"), "the word that is wrong")
    browser.fill(field, " ".join(word.upper() for word in words))
    browser.until(lambda: "Right" in browser.text("#app"), "a yes")
    assert {one.method for one in source.wire.seen()} == {"GET"}
    assert all(one.target.startswith("/static/words-") for one in source.wire.seen())
    pairs = [f"{first} {second}" for first, second in pairwise(words)]
    for spelling in (*words, *pairs, "".join(words[:2]), digits, digits.replace(" ", "")):
        if spelling in pairs or spelling.encode() not in usual:
            assert not any(spelling.encode() in seen.head.lower() for seen in source.wire.seen())
    record_size(f"lists of words on the wire in {browser.level.value}", source.wire.traffic)


def test_without_the_list_the_digits_are_enough(source: Source) -> None:
    """A list that is not the one that is pinned is not used, and the digits stay."""
    digits = source.tell(WORDS)
    source.wire.answers["/static/words-en.txt"] = lying.answer(b"zoom\n" * 7_776)
    source.browser.click("#app [data-part=show-words]")
    source.browser.until(lambda: "of your code are enough" in source.browser.text("#app"), "a word about the list")
    assert source.browser.count("#app [data-part=words] li") == 0
    assert " ".join(source.browser.text("#app [data-part=digits]").split()) == digits
