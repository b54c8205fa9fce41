"""What a hand, an eye and a printer meet: sizes, long names, what is apart, paper, and words for the browser in use."""
# ruff: noqa: RUF001 (people write in Russian)

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from browser import lying
from browser.drivers import Chromium, Level
from browser.pages import DELETE, DIGITS, DOOR, MESSAGE, READY, Source
from browser.states.test_left_states import answers, go_back
from browser.test_leave import ELSEWHERE
from support.world import World, tipbox
from tipbox.formats.base import days

ONE_OF_EACH = pytest.mark.parametrize("level", [Level.CHROMIUM, Level.STANDARD], ids=lambda level: level.value)
IN_CHROMIUM = pytest.mark.parametrize("level", [Level.CHROMIUM], ids=lambda level: level.value)
OTHER_BROWSER = "This does not look like Tor Browser"
NARROW = (320, 700)
LINES = 6
"""That a name of 255 characters may take at twice the size of letters, on the narrowest screen."""
APART = 6
"""Pixels between what keeps and what deletes."""
LARGE = 24
"""Pixels of the letters of a code."""


@ONE_OF_EACH
def test_who_comes_with_another_browser_is_told_and_who_comes_with_tor_browser_is_not(source: Source) -> None:
    browser = source.browser
    told = browser.level is Level.CHROMIUM
    source.go("/en/")
    browser.click(DOOR.format("write"))
    browser.wait(READY)
    assert (OTHER_BROWSER in browser.text("#app")) == told
    browser.click(DOOR.format("start"))
    assert (OTHER_BROWSER in browser.text("#app")) == told


@ONE_OF_EACH
def test_a_door_that_was_pressed_before_the_script_came_is_no_entry_to_come_back_to(source: Source) -> None:
    browser, wire = source.browser, source.wire
    wire.answers["/elsewhere"] = ELSEWHERE
    source.go("/elsewhere")
    wire.stalled = lambda path: path.endswith(".js")
    browser.run("setTimeout(() => location.assign('/en/'));")
    browser.until(lambda: browser.count(DOOR.format("write")), "the page without its scripts")
    browser.click(DOOR.format("write"))  # from the first script on a link adds no entry
    wire.stalled = lambda _path: False
    browser.wait(READY)
    browser.until(lambda: browser.address().endswith("/en/"), "the entry of the page itself")
    assert browser.count(MESSAGE) == 1
    go_back(source)


@ONE_OF_EACH
def test_a_long_name_leaves_room_for_its_button(source: Source, tmp_path: Path) -> None:
    path = tmp_path / f"{'Очень длинное имя '.encode().decode() * 6}конец.pdf"
    path.write_bytes(b"%PDF")
    source.open_form()
    source.browser.screenshot(tmp_path / "narrow.png", NARROW)
    source.attach(path)
    lines, sideways = source.browser.run("""
        document.documentElement.style.fontSize = "200%";
        const name = document.querySelector("#app [data-part=files] bdi");
        const high = parseFloat(getComputedStyle(name).lineHeight);
        const { scrollWidth } = document.documentElement;
        return [name.getBoundingClientRect().height / high, scrollWidth > innerWidth];
    """)
    assert lines <= LINES
    assert not sideways
    [shown] = source.listed()
    assert shown.startswith("Очень длинное")
    assert shown.endswith("конец.pdf")


@ONE_OF_EACH
def test_keeping_and_deleting_stand_apart_and_look_different(
    source: Source, pages_world: World, tmp_path: Path
) -> None:
    answers(source, pages_world, tmp_path)
    source.browser.click(DELETE)
    gap, looks = source.browser.run("""
        const [keep, really] = ["keep", "really"].map(part => document.querySelector(`#app [data-part=${part}]`));
        const look = button => getComputedStyle(button).color + getComputedStyle(button).backgroundColor;
        const gap = really.getBoundingClientRect().top - keep.getBoundingClientRect().bottom;
        return [gap, look(keep) !== look(really)];
    """)
    assert gap > APART
    assert looks


@ONE_OF_EACH
def test_a_code_is_the_largest_thing_and_its_columns_stand_in_line(source: Source) -> None:
    source.tell("Код")
    size = source.browser.run(f"return parseFloat(getComputedStyle(document.querySelector('{DIGITS}')).fontSize);")
    assert size >= LARGE
    number = f"return getComputedStyle(document.querySelector('{DIGITS} span'), '::before').content;"
    assert source.browser.run(number) == 'counter(group) / ""', "nobody is read the number of a group with its digits"
    source.words()
    tops = source.browser.run("""
        const columns = new Map();
        for (const word of document.querySelectorAll("#app [data-part=words] li")) {
            const { left, top } = word.getBoundingClientRect();
            if (!columns.has(left)) columns.set(left, top);
        }
        return [...columns.values()];
    """)
    assert max(tops) - min(tops) < 1


@IN_CHROMIUM
def test_on_paper_is_the_code_and_no_button(source: Source, tmp_path: Path) -> None:
    from pypdfium2 import PdfDocument

    digits = source.tell("На бумагу")
    assert isinstance(source.browser, Chromium)
    source.browser.print(tmp_path / "code.pdf")
    with PdfDocument(tmp_path / "code.pdf") as paper:
        printed = " ".join(page.get_textpage().get_text_bounded() for page in paper)

    assert all(group in printed for group in digits.split())
    assert "На бумагу" not in printed
    for button in ("Leave quickly", "It is on paper", "I do not need the code", "Show as words"):
        assert button not in printed


@ONE_OF_EACH
def test_a_notice_is_shown_in_its_words_and_a_foreign_one_is_not(
    source: Source, pages_world: World, tmp_path: Path
) -> None:
    browser, desk = source.browser, pages_world.desks["kibhr"]
    words, out = tmp_path / "ru.txt", tmp_path / "notice.json"
    words.write_text("Новый мост:\nobfs4 192.0.2.1:80 <b>\n", encoding="utf-8")
    tipbox(
        *("keys", "notice", "--vault", desk.vault, "--passphrase-file", desk.secret, "--text", "ru", words),
        *("--until", (days.today() + timedelta(days=7)).isoformat(), "--out", out),
    )
    notice = out.read_text(encoding="utf-8")
    real = source.now()
    changed = notice.replace("192.0.2.1", "192.0.2.9")
    shown = "#notices section"
    source.wire.answers["/api/now"] = lying.now(real, notices=[changed, "x", notice])
    for path in ("/en/", "/ru/send"):
        source.go(path)
        browser.wait(shown)
        assert browser.count(shown) == 1
        assert "Новый мост:\nobfs4 192.0.2.1:80 <b>" in browser.text("#notices")
        assert str(json.loads(notice)["from"])[:4] in browser.text(f"{shown} .quiet"), "since when"
    # Of an organisation that gives no keys here today, by nothing that the page could check.
    others = [one for one in real["manifests"] if json.loads(one)["organisation"] != "kibhr"]
    source.wire.answers["/api/now"] = lying.now(real, manifests=others, notices=[notice])
    source.go("/en/send")
    browser.wait(READY)
    assert browser.count(shown) == 0
