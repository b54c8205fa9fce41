"""Words of the pages that a source did not understand, or understood wrongly: each thing has one name, and is exact."""
# ruff: noqa: RUF001 (languages of the pages)

from __future__ import annotations

import html
import re
from hashlib import sha256

import pytest
from nacl.signing import SigningKey

from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.resources import available_languages
from tipbox.server.web.rendered_site import Renderer

FOREIGN = (
    (
        "The server gave this page a key that belongs to nobody on its list. So nothing is sealed, and nothing was "
        "sent. Load this page again: the list may be a new one."
    ),
    (
        "You cannot write back here now: the server gave this page a key that belongs to nobody on its list. Load "
        "this page again. If you read this once more, somebody may be trying to read what is sent here."
    ),
)
"""Whoever reads these has to understand that something else than the line is wrong."""
KEYS = {
    "en": r"\bkeys?\b",
    "ru": r"\bключ(?:а|у|е|ом|и|ей|ам|ами|ах)?\b",
    "kk": "кілт",
    "fr": r"\bclés?\b",
    "es": r"\b(llave|clave)s?\b",
    "ar": "مفتاح",
}


@pytest.fixture(name="renderer", scope="module")
def _renderer() -> Renderer:
    return Renderer()


@pytest.fixture(name="pages", scope="module")
def _pages(renderer: Renderer) -> dict[str, str]:
    """What the page of each language says, all screens of it, without its marks."""
    key = SigningKey(sha256(b"wording").digest())
    entry = SiteEntry("house", "House", "KZ", (), key.verify_key.encode()).signed_by(key)
    files = renderer.site(SiteList.of("en", [entry])).files
    return {language: html.unescape(files[f"/{language}/"].plain.decode()) for language in available_languages()}


def test_a_code_is_promised_to_open_answers_and_nothing_else(pages: dict[str, str]) -> None:
    """It never opens what was sent, whoever has it."""
    page = pages["en"]
    assert "It is the only way to read the answers to your message." in page
    assert "This page shows nothing of what you sent." in page
    assert "come back to your message" not in page


def test_a_code_has_one_name_and_what_is_read_aloud_another(pages: dict[str, str]) -> None:
    page = pages["en"]
    assert page.count(">Your code</h2>") == 2, "where answers are read, and where an upload goes on"
    assert 'data-again-label="Your code"' in page
    assert "Type your code" in page
    assert "spoken check" in page.lower()
    for other in ("check digits", "your digits", "passphrase", "password", "receipt", "codeword"):
        assert other not in page.lower(), other


def test_who_writes_back_is_told_whom_the_page_remembers(pages: dict[str, str]) -> None:
    assert "This page does not remember to whom you wrote: nothing here could tell anybody." in pages["en"]


@pytest.mark.parametrize("language", available_languages())
def test_keys_are_spoken_of_only_where_somebody_swapped_one(
    pages: dict[str, str], renderer: Renderer, language: str
) -> None:
    marks = r'<(style|script)[^>]*>.*?</\1>|data-code="[^"]*"|data-[a-z-]+='
    page = re.sub(marks, "", pages[language], flags=re.DOTALL)
    for sentence in FOREIGN:
        said = renderer._say(language, sentence)
        assert said in page
        page = page.replace(said, "")
    found = re.findall(rf".{{0,40}}(?:{KEYS[language]}).{{0,40}}", page, re.IGNORECASE)
    assert found == []
