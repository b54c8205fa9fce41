"""Words of the pages that a source did not understand, or understood wrongly: each thing has one name, and is exact."""
# ruff: noqa: RUF001 (languages of the pages)

from __future__ import annotations

import html
import re
from hashlib import sha256

import pytest
from babel.messages.pofile import read_po
from nacl.signing import SigningKey

from support.tree import ROOT
from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.resources import available_languages
from tipbox.server.web.rendered_site import Renderer

LOCALE = ROOT / "tipbox" / "locale"
JARGON = {
    "en": r"\b(keys?|servers?|identit\w+|commands?|manifests?|circuits?|tokens?|ciphertexts?)\b",
    "ru": r"\bключ(?:а|у|е|ом|и|ей|ам|ами|ах)?\b|сервер|личност|команд[аеуы]|командой|цепочк|манифест",
    "kk": "кілт|сервер|личность|команда|манифест",
    "fr": r"\bclés?\b(?! USB)|serveur|identité|commande|manifest|circuit",
    "es": r"\b(?:llave|clave)s?\b|servidor|identidad|comando|manifiesto|circuito",  # codespell:ignore
    "ar": "مفتاح|مفاتيح|خادم|هوية|بأمر tipbox|بالأمر tipbox",
}
"""Words for those who build and run a site: who reads its pages knows a site, a page, a code and organisations."""
NEW_IDENTITY = "Now close this tab and choose “New Identity” in Tor Browser."
"""Names a control of Tor Browser on a computer, as that shows it."""
TOR_BROWSER = {"Safer", "Standard", "New Identity", "Connection", "Bridges"}


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
def test_no_message_that_a_source_may_read_has_a_word_of_ours(language: str) -> None:
    """Each of the pages, of the offline page, of the plain form and of errors, shown often or never."""
    path = LOCALE / language / "LC_MESSAGES" / "tipbox.po"
    with path.open("rb") as file:
        catalogue = read_po(file, language)
    said = [
        form
        for message in catalogue
        if message.id and message.id != NEW_IDENTITY
        for form in (*_forms(message.string), *(_forms(message.id) if language == "en" else ()))
    ]
    assert len(said) > 300
    pattern = re.compile(rf".{{0,40}}(?:{JARGON[language]}).{{0,40}}", re.IGNORECASE)
    assert [found[0] for one in said if (found := pattern.search(one))] == []


def test_new_identity_is_asked_for_where_tor_browser_shows_it_and_nowhere_else(pages: dict[str, str]) -> None:
    assert pages["en"].count("New Identity") == pages["en"].count(f'<span data-on="identity">{NEW_IDENTITY}</span>') > 0


def test_what_a_sentence_quotes_stands_on_a_page(pages: dict[str, str]) -> None:
    """A button or a heading by its name, in each language; or a control of Tor Browser."""
    catalogues = {}
    for language in available_languages():
        with (LOCALE / language / "LC_MESSAGES" / "tipbox.po").open("rb") as file:
            catalogues[language] = {str(one.id): str(one.string or one.id) for one in read_po(file, language) if one.id}
    quoted = [(name, said) for said in catalogues["en"] for name in re.findall("“([^”]+)”", said)]
    assert len(quoted) > 5
    for name, said in quoted:
        if name in TOR_BROWSER:
            continue
        for language, messages in catalogues.items():
            assert messages[name].removesuffix(".") in messages[said], f"{language}: {messages[said]}"
        if f"“{name}” on the start page" in said:
            assert re.search(f' data-door="[a-z]+">{name}</a>', pages["en"]), said


def _forms(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())
