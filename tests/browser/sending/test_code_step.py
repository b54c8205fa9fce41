"""The code is a step of its own: copied onto paper, typed back group by group, forgiving."""

from __future__ import annotations

import pytest

from browser.pages import CODE, DIGITS, JUDGED, Source
from tipbox.formats.access_code import AccessCode

BOX = "#app .boxes > :nth-child({}) input"


def states(source: Source) -> list[str]:
    """How each group stands."""
    found = source.browser.run("""
        return [...document.querySelectorAll("#app .boxes label")].map(one => one.dataset.state ?? "").join(",");
    """)
    return str(found).split(",")


@pytest.fixture
def digits(source: Source) -> str:
    """A message is stored, and its code said to be on paper."""
    source.open_form()
    source.write("Nobody writes this down by photo")
    source.send()
    shown = source.wait_stored()
    assert "not a photo" in source.browser.text("#app")
    source.browser.click("#app [data-part=copied]")
    return shown


def right(source: Source) -> None:
    source.browser.until(lambda: "Right: this is your code" in source.browser.text("#app"), "the code to be right")


def test_each_group_turns_right_or_wrong_as_it_is_typed(source: Source, digits: str) -> None:
    browser = source.browser
    shown = browser.run(f"return document.querySelector('{DIGITS}').getClientRects().length;")
    assert shown == 0, "typed from paper, not from the screen"
    groups = digits.split()
    browser.type(BOX.format(1), groups[0])
    assert states(source) == ["right", "", "", "", "", ""]
    assert browser.focused(BOX.format(2)), "the next group is at hand"
    browser.type(BOX.format(2), groups[1][:5])
    assert states(source)[1] == ""
    browser.type(BOX.format(2), str((int(groups[1][5]) + 1) % 10))
    assert states(source)[1] == "wrong"
    assert "Look at group 2" in browser.text("#app [data-part=again-result]")
    assert browser.run(f"return document.querySelector('{BOX.format(2)}').getAttribute('aria-invalid');") == "true"
    browser.fill(BOX.format(2), groups[1])
    for number, group in enumerate(groups[2:], 3):
        browser.type(BOX.format(number), group)
    right(source)


def spelt(digits: str, how: str) -> str:
    groups = digits.split()
    if how == "lookalikes":
        return digits.translate(str.maketrans("013", "Ol\N{CYRILLIC CAPITAL LETTER ZE}"))
    if how == "arabic":
        return digits.translate({ord("0") + at: 0x660 + at for at in range(10)})
    if how == "numbered":
        return " ".join(f"{number}. {group}" for number, group in enumerate(groups, 1))
    return "-".join(groups)


@pytest.mark.parametrize("how", ["lookalikes", "arabic", "numbered", "dashes"])
def test_all_of_it_may_be_pasted_however_it_is_spelt(source: Source, digits: str, how: str) -> None:
    source.browser.fill(BOX.format(1), spelt(digits, how))
    right(source)


def test_words_are_typed_back_where_words_were_shown(source: Source) -> None:
    source.open_form()
    source.write("By heart")
    source.send()
    source.wait_stored()
    words = source.words()
    assert source.browser.focused("#app [data-part=words]"), "in the place of the button that was pressed"
    source.browser.click("#app [data-part=copied]")
    numbered = " ".join(f"{number}. {word}" for number, word in enumerate(words, 1))
    source.browser.fill("#app [data-part=again] textarea", numbered)
    right(source)


def test_the_inbox_reads_what_looks_like_digits_and_names_a_group_that_cannot_begin(source: Source) -> None:
    code = AccessCode.generate().digits()
    source.go("/en/inbox")
    source.browser.wait(CODE)
    source.browser.fill(CODE, spelt(code, "lookalikes"))
    source.browser.until(lambda: "right" in source.browser.text(JUDGED), "the code to be right")
    source.browser.fill(CODE, f"999999{code[6:]}")
    source.browser.until(lambda: "Look at group 1" in source.browser.text(JUDGED), "the group to be named")
    assert [one.target for one in source.wire.seen() if "words-" in one.target] == []
