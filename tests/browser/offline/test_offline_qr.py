"""Words as QR codes: the offline page shows and prints them and saves nothing, and a desk reads them back."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from browser.drivers import EVERY_JOURNEY, PHONE, Browser, Chromium, Level
from browser.offline.offline_source import SEAL, OfflineSource
from browser.offline.test_offline_page import TEXT, assert_as_sent, make_page
from support.qr.photographs import Shot
from support.world import Ring, World
from tipbox.formats.base.limits import MAX_QR_ENVELOPE

CODE = "#qr:not([hidden]) svg"
PROBLEM = "#app [data-part=problem]"
LEVELS = [Level.CHROMIUM, Level.SAFER] if EVERY_JOURNEY else [Level.CHROMIUM]
FROM_DISK = pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.value)
"""Firefox at Safer with ``make journeys``."""
ONCE = pytest.mark.parametrize("level", [Level.CHROMIUM], ids=lambda level: level.value)


@pytest.fixture(scope="module")
def page(ring: Ring, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_page(tmp_path_factory.mktemp("offline-qr"), ring.keys)


@pytest.fixture
def offline(browser: Browser, page: Path) -> OfflineSource:
    made = OfflineSource(browser, page)
    made.go()
    return made


def drawn(svg: str) -> Image.Image:
    """The picture in an SVG of the page, six pixels to a module, on paper."""
    [side] = re.findall(r'viewBox="0 0 (\d+) \1"', svg)
    image = Image.new("L", (int(side) * 6, int(side) * 6), 255)
    draw = ImageDraw.Draw(image)
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1H\1z", svg):
        left, top = int(x) * 6, int(y) * 6
        draw.rectangle((left, top, left + int(width) * 6 - 1, top + 5), fill=0)
    return image


@FROM_DISK
def test_words_travel_as_qr_codes(offline: OfflineSource, world: World, tmp_path: Path, screenshots: Path) -> None:
    """Shown one after another, four of them lost, photographed at an angle, imported: the words are there."""
    browser, desk = offline.browser, world.desks["kibhr"]
    offline.write(TEXT, size="qr")
    browser.click(SEAL)
    browser.wait(CODE, 120)
    # Whoever photographs the screen must not see the access code: no QR code is shown beside it.
    assert "QR code 1 of" not in browser.text("#app")
    browser.click("#app [data-part=copied]")
    browser.click("#app [data-part=declined-too]")
    browser.until(lambda: "QR code 1 of" in browser.text("#app"), "the first QR code")
    seen = "[...document.querySelectorAll('#app [data-part=digits]')].some((one) => one.offsetParent !== null)"
    assert browser.run(f"return {seen};") is False
    browser.screenshot(screenshots / f"offline-qr-{browser.level.value}.png", PHONE)
    assert browser.count("#saved li") == 0
    [count] = re.findall(r"\d+", browser.text("#saved-count"))[:1]
    codes = []
    for _ in range(int(count)):
        codes.append(browser.run(f"return document.querySelector('{CODE}').outerHTML;"))
        browser.click("#qr [data-part=qr-next]")
    assert len(set(codes)) == int(count)
    assert browser.run(f"return document.querySelector('{CODE}').outerHTML;") == codes[0]
    stick = tmp_path / "stick"
    stick.mkdir()
    for number, code in enumerate(random.sample(codes, len(codes) - 4)):
        shot = Shot(tilt=20 - number * 2, turn=number % 4 * 90 + number - 7, height=1400).of(drawn(code))
        (stick / f"IMG_{number}.JPG").write_bytes(shot)
    desk.run("import", "--copies", "1", "--photos", stick)
    assert_as_sent(desk, tmp_path / "opened", TEXT)
    if isinstance(browser, Chromium):
        browser.run("window.print = () => undefined; document.querySelector('[data-part=qr-print]').click();")
        assert browser.count(".sheets svg") == int(count)
        browser.print(screenshots / "offline-qr.pdf")
        browser.run("dispatchEvent(new Event('afterprint'));")
        assert browser.count(".sheets") == 0
    assert browser.complaints() == []


@ONCE
def test_what_does_not_fit_is_refused_in_a_sentence(offline: OfflineSource, tmp_path: Path) -> None:
    browser = offline.browser
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"\xff\xd8\xff")
    offline.write(TEXT, file, size="qr")
    browser.click(SEAL)
    browser.until(lambda: browser.text(PROBLEM), "why files do not go")
    assert "words alone" in browser.text(PROBLEM)

    offline.go()
    offline.write(TEXT, size="qr")
    browser.fill("#app textarea", "я" * (MAX_QR_ENVELOPE // 2))
    browser.click(SEAL)
    browser.until(lambda: browser.count(PROBLEM) and browser.text(PROBLEM), "why it is too long")
    assert "too long for QR codes" in browser.text(PROBLEM)
    assert browser.count(CODE) == 0
    assert browser.complaints() == []
