"""The pages in each language: the switch, what stays of it, and a message that arrives and is answered."""
# ruff: noqa: RUF001 (people write in Russian and Kazakh)

from __future__ import annotations

import json
import re

import pytest

from browser import lying
from browser.drivers import Level
from browser.pages import CODE, FAILED, MAILBOX, MESSAGE, READY, SEND, Source
from browser.test_lying_server import identifiers
from support.world import NAMES, World
from tipbox.formats.access_code import AccessCode
from tipbox.resources import available_languages

OTHERS = [language for language in available_languages() if language != "en"]
SWITCH = "#languages"
ENGLISH = re.compile(r"\b(the|your|answers?|write|send|sealed)\b", re.IGNORECASE)
"""Words that a sentence which was not translated would have, and none of another language here."""
LOOKED_AT = pytest.mark.parametrize("level", [Level.CHROMIUM, Level.STANDARD], ids=lambda level: level.value)


def say(source: Source) -> str:
    """What the page says, without what organisations call themselves."""
    text = source.browser.text("#app" if source.browser.count("#app") else "main")
    for name, *_ in NAMES.values():
        text = text.replace(name, "")
    return text


@LOOKED_AT
@pytest.mark.parametrize("language", OTHERS)
def test_a_message_is_told_and_an_answer_read_in_it(source: Source, pages_world: World, language: str) -> None:
    browser = source.browser
    source.language = language
    source.go("/en/")
    browser.click(f"{SWITCH} a[lang={language}]")
    browser.until(lambda: browser.address().endswith(f"/{language}/"), "the page in the other language")
    assert browser.run("return document.documentElement.lang;") == language
    assert not ENGLISH.search(say(source))
    browser.click("main a.main")
    browser.wait(MESSAGE)
    assert not ENGLISH.search(say(source))
    source.write("Видео есть у брата")
    source.choose_all()
    source.send()
    digits = source.wait_stored()
    assert not ENGLISH.search(say(source))

    of_source = AccessCode.parse(digits).secrets()
    ids = identifiers(pages_world)
    reply = lying.Mailboxes(of_source, list(ids.values())).reply(ids["kibhr"], "Спасибо")
    source.wire.answers["/api/mailbox"] = lying.mailbox([reply])
    source.go(f"/{language}/inbox")
    browser.wait(CODE)
    assert not ENGLISH.search(say(source))
    browser.fill(CODE, digits)
    browser.click("#app [data-part=open]")
    browser.until(lambda: browser.count(MAILBOX) or browser.count(FAILED), "the mailbox")
    assert [one.text for one in source.answers()] == ["Спасибо"]
    assert not ENGLISH.search(say(source))


@LOOKED_AT
def test_no_link_to_another_language_stands_beside_what_was_written(source: Source) -> None:
    """It would take the text away, and must never carry it."""
    browser = source.browser
    hidden = f"return document.querySelector({json.dumps(SWITCH)}).hidden;"
    source.go("/en/send")
    browser.wait(READY)
    assert browser.run(hidden) is False
    source.write("Я")
    assert browser.run(hidden) is True
    browser.fill(MESSAGE, "")
    assert browser.run(hidden) is False, "in the wrong language, and nothing would be lost"
    browser.fresh()
    source.go("/en/send")
    browser.wait(READY)
    assert browser.run(hidden) is False
    source.drop(["a.txt"], "a")
    browser.until(lambda: source.listed() == ["a.txt"], "the file to be listed")
    assert browser.run(hidden) is True
    assert browser.count(SEND) == 1
