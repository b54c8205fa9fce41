"""What the pages say in six languages: refusals of each kind, looks at files, and what sources wrote."""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from datetime import date

import pytest
from flask import Flask

from tipbox import errors
from tipbox.desk import desk_errors, sentences
from tipbox.desk.pages import page_texts, said_lines
from tipbox.desk.pages.said_lines import KINDS, PageRefused, refusal
from tipbox.desk.render.look_lines import Line, Sign
from tipbox.desk.vault.records import Thread
from tipbox.errors import TipboxError
from tipbox.formats.envelopes.consent import LEVELS, Consent
from tipbox.resources import locale_dir

OTHERS = ("ar", "es", "fr", "kk", "ru")
ELSEWHERE = {
    *("BadPassphrase", "NetworkFailed", "PartlyDone", "NoBrowser", "NoNamespace", "TooEarly"),
    *("Expired", "IdentityChanged", "NoCurrentKey", "NotYetValid", "OlderSerial", "UnknownCritical"),
}
"""What no page raises: of sources, of manifests, of the start, of the ceremony."""


@pytest.fixture(params=OTHERS)
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    found = page_texts._Texts.found
    page_texts.install_texts(Flask("x"), request.param)
    yield request.param
    page_texts._Texts.found = found


def kinds() -> list[type[TipboxError]]:
    return [
        one
        for module in (errors, desk_errors)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, TipboxError)
    ]


def test_each_kind_of_refusal_has_its_sentence() -> None:
    missing = {one.__name__ for one in kinds() if one not in KINDS} - ELSEWHERE
    assert missing == set(), "write a sentence into said_lines.KINDS, and translate it"


def test_a_refusal_is_told_in_the_language_of_the_pages(language: str) -> None:
    for kind in KINDS:
        first, detail = refusal(kind("doing this: it is wrong")).split("\n")
        assert (first == KINDS[kind], detail) == (False, "doing this: it is wrong")
    assert refusal(PageRefused("сказано уже")) == "сказано уже"
    whole = refusal(errors.WrongPassphrase("unlocking: the passphrase is wrong"))
    assert ("\n" in whole, "passphrase" in whole) == (False, False)
    assert gettext.translation("desk", locale_dir(), [language]).gettext(whole)


def test_in_english_a_refusal_is_the_line_of_the_command() -> None:
    assert refusal(errors.NotFound("opening: it is not here")) == "opening: it is not here"


@pytest.mark.usefixtures("language")
def test_closed_lists_are_translated() -> None:
    said = [one.sentence for one in (*Line, *Sign)]
    said += [sentences.FORGED, sentences.DAMAGED, sentences.OTHER_MAILBOX, sentences.BEFORE_MISSING]
    said += [sentences.ODD_DAYS, sentences.OTHER_DAY, sentences.BAD_STAMP, sentences.BAD_HEAD, *LEVELS]
    same = {one for one in said if page_texts.gettext(one) == one}
    assert same <= {"public"}, f"in French it is the same word: {same}"


def test_consent_says_what_commands_say() -> None:
    today = date(2026, 1, 20)
    allowed = Consent(level=2, ask_me=True, never=("the ministry",), until=date(2026, 1, 1))
    for thread in (None, Thread(bytes(16), bytes(32)), Thread(bytes(16), bytes(32), allowed)):
        shown = said_lines.consent(thread, today)
        assert shown.replace("\u2068", "").replace("\u2069", "") == sentences.consent(thread, today)
    turned = Consent(level=2, ask_me=False, never=("the \u2069ministry",))
    assert "the \ufffdministry" in said_lines.consent(Thread(bytes(16), bytes(32), turned), today)


def test_blanks_that_do_not_break_are_blanks() -> None:
    text = "« Hier soir » : 5\u202f000 personnes\u2009!\u3000Et puis\u200b?"
    assert page_texts.shown(text) == text.replace("\u200b", "\ufffd")
    assert page_texts.shown("a\nb\tc\x00\u202e\u2068") == "a\nb\tc\ufffd\ufffd\ufffd"
    joined = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f468\u200d\U0001f469"
    assert page_texts.shown(joined) == joined
    assert page_texts.shown("\u200da \u200db\u200d\u200d") == "\ufffda \ufffdb\u200d\ufffd"


def test_a_line_of_ours_keeps_apart_what_it_put_apart_and_nothing_else() -> None:
    line = f"{page_texts.apart('2026-11-29')} \u202e\x1b"
    assert page_texts.shown_line(line) == "\u20682026-11-29\u2069 \ufffd\ufffd"
