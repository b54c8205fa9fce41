"""What a review of the pages found and that no other test would miss: fields that are wrong say so, Leave lies over
nothing, and who writes back before anybody answered is told why nobody is chosen.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from browser import lying
from browser.drivers import PHONE, Level
from browser.pages import CHOICE, CODE, JUDGED, MAILBOX, MESSAGE, READY, WRITE, Source
from tipbox.formats.access_code import AccessCode

ONE_OF_EACH = pytest.mark.parametrize("level", [Level.CHROMIUM, Level.STANDARD], ids=lambda level: level.value)
IN_CHROMIUM = pytest.mark.parametrize("level", [Level.CHROMIUM], ids=lambda level: level.value)


def is_wrong(source: Source, field: str) -> str | None:
    """What a screen reader is told of a field."""
    found = source.browser.run(f"return document.querySelector({json.dumps(field)}).getAttribute('aria-invalid');")
    return None if found is None else str(found)


UNHEARD = """
    const regions = [...document.querySelectorAll("[role=status], [role=alert]")];
    return regions.filter(one => one.closest("[hidden]") === null && one.getClientRects().length === 0).length;
"""
"""Counts what a screen reader does not know yet when the first words come into it."""


@ONE_OF_EACH
def test_a_field_that_is_wrong_says_so_and_no_longer_when_it_is_right(source: Source) -> None:
    browser = source.browser
    source.open_form()
    assert browser.run(UNHEARD) == 0
    source.send()
    browser.until(source.problem, "a complaint")
    assert is_wrong(source, MESSAGE) == "true"
    source.write("Текст")
    assert is_wrong(source, MESSAGE) is None
    browser.run(f"for (const box of document.querySelectorAll({json.dumps(CHOICE)})) box.checked = false;")
    source.send()
    browser.until(source.problem, "a complaint")
    assert is_wrong(source, MESSAGE) is None, "somebody is to be chosen, and the text is right"

    code = AccessCode.generate().digits()
    source.go("/en/inbox")
    browser.wait(CODE)
    assert browser.run(UNHEARD) == 0
    browser.fill(CODE, f"999999{code[6:]}")
    browser.until(lambda: "Look at group 1" in browser.text(JUDGED), "the group to be named")
    assert is_wrong(source, CODE) == "true"
    browser.fill(CODE, code)
    browser.until(lambda: "Press" in browser.text(JUDGED), "the code to be right")
    assert is_wrong(source, CODE) == "false"


@IN_CHROMIUM
def test_who_writes_back_before_anybody_answered_is_told_why_nobody_is_chosen(source: Source) -> None:
    browser = source.browser
    source.wire.answers["/api/mailbox"] = lying.mailbox([])
    assert source.open_mailbox(AccessCode.generate().digits()) == []
    assert browser.count(MAILBOX) == 1
    browser.click(WRITE)
    browser.wait(MESSAGE)
    browser.wait(READY)
    assert browser.run(f"return document.querySelectorAll({json.dumps(CHOICE)} + ':checked').length;") == 0
    assert "This page does not remember to whom you wrote" in browser.text("#app fieldset")


UNDER_THE_BAR = """
    const bar = document.querySelector("header.bar");
    const { bottom, left, right, top } = bar.getBoundingClientRect();
    const leave = document.querySelector("#leave").getBoundingClientRect();
    const found = [];
    const isSeen = one => one.getClientRects().length > 0;
    const isInside = leave.top >= top && leave.bottom <= bottom && leave.left >= left && leave.right <= right;
    if (!isInside) found.push("Leave itself");
    if (getComputedStyle(bar).backgroundColor.endsWith(", 0)")) found.push("what is behind it");
    scrollTo(0, 0);
    for (const one of document.querySelectorAll("#languages > *, #app h1, #app p, #app li, #app label"))
        if (isSeen(one) && one.getBoundingClientRect().top < bottom - 1) found.push(one.textContent);
    for (const one of document.querySelectorAll("#app :is(a, button:enabled, textarea, input, summary)")) {
        if (!isSeen(one)) continue;
        one.focus();
        const place = one.getBoundingClientRect();
        if (place.height < innerHeight / 2 && place.top < bar.getBoundingClientRect().bottom - 1)
            found.push(`focused: ${one.textContent}`);
    }
    return found.join(" | ");
"""


@ONE_OF_EACH
@pytest.mark.parametrize("path", ["/en/", "/ar/send", "/kk/inbox"])
def test_on_a_phone_leave_lies_over_no_text_and_no_control(source: Source, tmp_path: Path, path: str) -> None:
    source.go(path)
    if path.endswith("send"):
        source.browser.wait(READY)
        source.drop([f"{'Очень длинное имя ' * 5}{number}.pdf" for number in range(12)], "a")
        source.browser.until(source.listed, "the files to be listed")
    source.browser.screenshot(tmp_path / "phone.png", PHONE)
    assert source.browser.run(UNDER_THE_BAR) == ""
