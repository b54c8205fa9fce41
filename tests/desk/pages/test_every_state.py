"""What axe can find of WCAG 2.2 AA and best practice on the pages, in every state: nothing; and nothing is cut off.

``make day`` looks in six languages, light and dark, ``make test`` in English and at part of the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import pytest

from desk.pages.every_state import add_files, add_photo, states
from desk.pages.hand import SIZE, Hand
from desk.pages.serving import WORDS, Pages, serving
from support.desk import Desk, Desks
from support.world import ROOT

pytestmark = pytest.mark.reads_date

WHOLE: Final = "WHOLE_DAY" in os.environ
"""As ``make day`` sets it."""
PICTURES: Final = os.environ.get("TIPBOX_PICTURES")
"""A folder for pictures of all states, for people to look at."""
AXE: Final = (ROOT / "client" / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
LOOK: Final = f"""
    const found = await window.axe.run(document, {{ runOnly: {json.dumps(RULES)}, resultTypes: ["violations"] }});
    const told = ({{ id, nodes }}) => `${{id}}: ${{nodes.map(one => one.html).join(" ")}}`;
    return JSON.stringify(found.violations.map(told));
"""
# What is wider than its place and neither scrolls nor says so with an ellipsis; and a page that scrolls sideways.
CUT: Final = """
    const cut = [...document.querySelectorAll("button, h1, h2, dt, label, th, .chip")]
        .filter(one => one.offsetParent && !one.closest(".threads td, .aside") && one.scrollWidth > one.clientWidth + 1
            && getComputedStyle(one).display !== "inline")
        .map(one => one.outerHTML);
    if (document.documentElement.scrollWidth > innerWidth) cut.push(`page: ${document.documentElement.scrollWidth}`);
    return cut;
"""
LANGUAGES: Final = ("en", "kk", "ru", "fr", "es", "ar")
IN_SAMPLE: Final = 10
"""States that ``make test`` looks at in Arabic: those before a thread is opened."""


@pytest.fixture
def with_files(filled: Desk, desks: Desks, stick: Path, tmp_path: Path) -> Desk:
    add_files(desks, filled, tmp_path)
    add_photo(desks, filled, stick)
    return filled


def looked(hand: Hand, name: str, schemes: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with what is shown now."""
    if not hand.run("return 'axe' in window"):
        hand.page.evaluate(AXE)
    for scheme in schemes:
        hand.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        yield from (f"{name}, {scheme}: {one}" for one in json.loads(hand.run(LOOK)))
    hand.page.emulate_media(color_scheme="light")
    yield from (f"{name}: cut off: {one}" for one in hand.run(CUT))


def test_axe_would_find_something(pages: Pages, hand: Hand) -> None:
    hand.goto(pages.url)
    hand.run("document.body.append(document.createElement('img'))")
    hand.run(
        "document.querySelector('#unlock button').style.cssText = 'width: 2rem; overflow: hidden; white-space: nowrap'"
    )
    found = list(looked(hand, "x", ("light",)))
    assert {one.split(": ")[1] for one in found} == {"image-alt", "region", "cut off"}


@pytest.mark.parametrize("language", LANGUAGES if WHOLE else ("en", "ar"))
def test_nothing_is_wrong_in_any_state(
    with_files: Desk, stick: Path, tmp_path: Path, hand: Hand, language: str
) -> None:
    wrong: list[str] = []
    seen: list[str] = []
    with serving(with_files, tmp_path / "scratch", language=language) as pages:
        most = None if WHOLE or language == "en" else IN_SAMPLE
        for name in islice(states(hand, pages, stick), most):
            seen.append(name)
            if PICTURES:
                for scheme in ("light", "dark"):
                    path = Path(PICTURES) / f"{language}-{len(seen):02}-{name.replace(' ', '-')}-{scheme}.png"
                    hand.screenshot(path, dark=scheme == "dark")
            if name == "import that ended":
                assert "1 opened" in hand.text(".job") or language != "en", "the tip in QR codes"
            wrong += looked(hand, name, ("light", "dark") if WHOLE or language != "en" else ("light",))
        assert len(seen) == (most or 32)
        # Chromium tells of each refusal, too: of the passphrase, and of the folder that is not there; and that the
        # process which was asked to lock ended.
        told = ("403", "409", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION")
        assert [one for one in hand.complaints if not any(sign in one for sign in told)] == []
    assert wrong == []
    assert hand.page.viewport_size == {"width": SIZE[0], "height": SIZE[1]}


NARROW: Final = 360
"""Pixels of a narrow window."""


@pytest.mark.parametrize("language", LANGUAGES if WHOLE else ("ar",))
def test_no_screen_runs_out_of_a_narrow_window(filled: Desk, tmp_path: Path, hand: Hand, language: str) -> None:
    hand.page.set_viewport_size({"width": NARROW, "height": 740})
    wide: list[str] = []

    def measure(screen: str) -> None:
        if PICTURES:
            hand.page.screenshot(path=Path(PICTURES) / f"narrow-{language}-{screen}.png", full_page=True)
        width = hand.run("return document.documentElement.scrollWidth")
        wide.extend([f"{screen}: {width}"] if width > NARROW else [])

    with serving(filled, tmp_path / "scratch", language=language) as pages:
        hand.goto(pages.url)
        hand.wait("#unlock")
        measure("unlock")
        hand.click("[data-do=guide]")
        hand.wait("#guide[open]")
        measure("first hour")
        hand.press("Escape")
        hand.open(pages.url, WORDS)
        measure("inbox")
        for keys, screen in (("g p", "staff"), ("g k", "stick"), ("g m", "same"), ("g h", "health")):
            hand.go(keys, screen)
            hand.run("for (const one of document.querySelectorAll('details')) one.open = true")
            measure(screen)
        hand.go("g i", "inbox")
        hand.go("o", "thread")
        measure("thread")
    assert wide == []
