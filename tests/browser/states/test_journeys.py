"""The whole way, in each language, browser, level and size: from the start page to a deleted answer, with desks.

A sample that touches each of them; all 36 with ``make journeys``, which sets ``EVERY_JOURNEY``. Each screen on
the way is photographed into build/screenshots, for people to look at.
"""

from __future__ import annotations

import filecmp
import itertools
import os
from pathlib import Path
from typing import Final

import pytest

from browser.drivers import DESKTOP, EVERY_JOURNEY, PHONE, Level
from browser.pages import CODE, DELETE, DOOR, MAILBOX, READY, Source
from browser.test_conversation import FOLLOW_UP, KIBHR, REPLY, TIP, desk_replies, reply_file
from support.world import World

LANGUAGES: Final = ("kk", "ru", "en", "fr", "es", "ar")
LEVELS: Final = (Level.CHROMIUM, Level.STANDARD, Level.SAFER)
SIZES: Final = {"phone": PHONE, "desktop": DESKTOP}
SAMPLE: Final = [
    (language, LEVELS[number % len(LEVELS)], ("phone", "desktop")[number % 2])
    for number, language in enumerate(LANGUAGES)
]
JOURNEYS: Final = list(itertools.product(LANGUAGES, LEVELS, SIZES)) if EVERY_JOURNEY else SAMPLE


def test_the_sample_touches_each_language_browser_level_and_size() -> None:
    assert {language for language, _, _ in SAMPLE} == set(LANGUAGES)
    assert {level for _, level, _ in SAMPLE} == set(LEVELS)
    assert {size for _, _, size in SAMPLE} == set(SIZES)


@pytest.mark.parametrize(
    ("level", "how"),
    [(level, (language, size)) for language, level, size in JOURNEYS],
    ids=[f"{language}-{level.value}-{size}" for language, level, size in JOURNEYS],
)
def test_a_journey(teller: Source, world: World, tmp_path: Path, screenshots: Path, how: tuple[str, str]) -> None:
    language, size = how
    browser = teller.browser
    teller.language = language
    taken = itertools.count(1)

    def take(state: str) -> None:
        name = f"journey-{language}-{browser.level.value}-{size}-{next(taken):02}-{state}.png"
        browser.screenshot(screenshots / name, SIZES[size])
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth;"), f"{name} scrolls sideways"

    video = tmp_path / "VID_20220105_2213.mp4"
    video.write_bytes(os.urandom(700_000))
    teller.go(f"/{language}/")
    take("start")
    browser.click(DOOR.format("write"))
    browser.wait(READY)
    teller.write(TIP)
    teller.attach(video)
    teller.choose_all()
    take("form")
    teller.send()
    digits = teller.wait_stored()
    take("code")
    teller.type_back(digits)
    browser.until(lambda: browser.run(KNOWN), "the code to be right")
    take("stored")
    [tip] = world.arrived("kibhr")
    assert tip.message.decode() == TIP
    assert filecmp.cmp(tip.files[video.name], video, shallow=False)

    file = reply_file(tmp_path)
    desk_replies(world, world.desks["kibhr"].tips()[0]["id"], file)
    browser.fresh()  # another day, another session
    teller.go(f"/{language}/")
    browser.click(DOOR.format("read"))
    browser.wait(CODE)
    browser.type(CODE, digits)
    browser.click("#app [data-part=open]")
    browser.wait(MAILBOX)
    [answer] = teller.answers()
    assert (answer.sender, answer.text, answer.files) == (KIBHR, REPLY, (file.name,))
    saved = teller.save_file()
    assert saved.read_bytes() == file.read_bytes()
    take("answers")
    teller.write_back(FOLLOW_UP)
    take("sent-back")
    world.carry("kibhr")
    told = [
        world.desks["kibhr"].open(one["id"], world.scratch("tip") / "opened") for one in world.desks["kibhr"].tips()
    ]
    assert FOLLOW_UP in {one.message.decode() for one in told}

    browser.fresh()
    teller.go(f"/{language}/inbox")
    browser.wait(CODE)
    browser.type(CODE, digits)
    browser.click("#app [data-part=open]")
    browser.wait(DELETE)
    teller.delete_answers()
    take("deleted")
    assert browser.complaints() == []
    browser.fresh()


KNOWN: Final = """
    const known = document.querySelector("#app [data-part=known]");
    return known !== null && known.getClientRects().length > 0;
"""
