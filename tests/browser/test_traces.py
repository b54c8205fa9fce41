"""Nothing is kept in the browser, and nothing goes wrong in its console."""

from __future__ import annotations

import json
from pathlib import Path

from browser.drivers import Level
from browser.pages import MESSAGE, SEND, STORED, Source, spellings

WORDS = "Чёрная машина без номеров"
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
    source.go("/")
    source.browser.click("main a.main")
    source.browser.wait(MESSAGE)
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
    for path in ("/", "/send", "/inbox", "/no-such-page", "/leave"):
        source.go(path)
    complaints = source.browser.complaints()
    if source.browser.level is Level.CHROMIUM:  # it reports each answer of 404
        complaints = [line for line in complaints if "status of 404" not in line]
    assert complaints == []


def test_the_console_is_heard(source: Source) -> None:
    """Errors and violations of the policy, on a page and in its script, would have been seen."""
    source.go("/")
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
    folder = source.browser.folder
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 10
    for path in files:
        content = path.read_bytes()
        assert not any(needle in content for needle in needles), path.name


def test_digits_can_be_checked_from_paper(source: Source) -> None:
    digits = source.tell(WORDS)
    browser = source.browser
    browser.fill(f"{STORED} textarea", digits[:-1] + ("1" if digits[-1] == "0" else "0"))
    browser.until(lambda: "group 6" in browser.text("#app"), "the group that is wrong")
    browser.fill(f"{STORED} textarea", digits.replace(" ", ""))
    browser.until(lambda: "Right" in browser.text("#app"), "a yes")
    assert browser.count(SEND) == 0
