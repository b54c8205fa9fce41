"""What a machine can find of WCAG 2.2 AA and best practice, in every state and language: nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from browser.drivers import DESKTOP, EVERY_JOURNEY, PHONE, Level
from browser.pages import Source
from browser.states.test_journeys import LANGUAGES
from browser.states.test_left_states import STATES
from support.world import ROOT, World

AXE = (ROOT / "client" / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
LOOK = f"""
    {AXE};
    const found = await window.axe.run(document, {{ runOnly: {json.dumps(RULES)}, resultTypes: ["violations"] }});
    const told = ({{ id, nodes }}) => `${{id}}: ${{nodes.map(one => one.html).join(" ")}}`;
    return JSON.stringify(found.violations.map(told));
"""
# The pages are the same in each browser; what axe needs of its own is a page that it may be written into.
CHROMIUM = pytest.mark.parametrize("level", [Level.CHROMIUM], ids=lambda level: level.value)


def findings(source: Source) -> list[str]:
    return [str(one) for one in json.loads(source.browser.run(LOOK))]


@CHROMIUM
def test_axe_would_find_something(source: Source) -> None:
    source.go("/en/")
    source.browser.run("""
        const image = document.createElement("img");
        image.src = "data:,";
        document.body.append(image);
    """)
    assert {one.partition(":")[0] for one in findings(source)} == {"image-alt", "region"}


def looked_at(number: int, language: str) -> bool:
    """With `make journeys` each state in each language; else each state in two of them, and each language often."""
    return EVERY_JOURNEY or (number - LANGUAGES.index(language)) % (len(LANGUAGES) // 2) == 0


def test_the_sample_holds_each_state_and_each_language() -> None:
    for number in range(len(STATES)):
        assert sum(looked_at(number, language) for language in LANGUAGES) >= 2
    for language in LANGUAGES:
        assert sum(looked_at(number, language) for number in range(len(STATES))) >= 5


@CHROMIUM
@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_nothing(source: Source, pages_world: World, tmp_path: Path, language: str) -> None:
    source.language = language
    found = {}
    for number, state in enumerate(STATES):
        if not looked_at(number, language):
            continue
        state(source, pages_world, tmp_path)
        source.browser.screenshot(tmp_path / "size.png", PHONE if number % 2 else DESKTOP)
        found[state.__name__] = findings(source)
        source.wire.release()
        source.browser.fresh()
    source.go("/blank")
    found["blank"] = findings(source)
    assert {name: one for name, one in found.items() if one} == {}
