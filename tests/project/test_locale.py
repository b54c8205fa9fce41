"""The catalogues: extracted from what is there, and complete."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from hatch_build import check_catalogue
from project.messages import SAFETY, SAID_IN_CODE, safety
from support.tree import ROOT
from tipbox.resources import available_languages

LOCALE = ROOT / "tipbox" / "locale"
LANGUAGES = sorted(path.name for path in LOCALE.iterdir() if path.is_dir())


def read(path: Path) -> Catalog:
    language = path.parts[-3] if path.suffix == ".po" else None  # in the files no header says it
    with path.open("rb") as file:
        return read_po(file, language, abort_invalid=True)


def test_the_templates_hold_what_pages_and_server_say(tmp_path: Path) -> None:
    program = ROOT / "tests" / "project" / "messages.py"
    subprocess.run((sys.executable, program, tmp_path), cwd=ROOT, check=True, capture_output=True)
    templates = sorted(path.name for path in LOCALE.glob("*.pot"))
    assert templates == ["desk.pot", "tipbox.pot"]
    for name in templates:
        assert (tmp_path / name).read_text() == (LOCALE / name).read_text(), "run make messages"


def test_what_the_desk_says_is_in_no_catalogue_of_the_server() -> None:
    desk = {message.id for message in read(LOCALE / "desk.pot") if message.id}
    server = {message.id for message in read(LOCALE / "tipbox.pot") if message.id}
    assert "Unlock the desk" in desk - server
    assert "Unlock the desk" not in server


@pytest.mark.parametrize("domain", ["tipbox", "desk"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_every_message(language: str, domain: str) -> None:
    wanted = {message.id for message in read(LOCALE / f"{domain}.pot") if message.id}
    path = LOCALE / language / "LC_MESSAGES" / f"{domain}.po"
    if (language, domain) == ("en", "desk"):  # what it says is what the templates say
        assert not path.exists()
        return
    catalogue = read(path)
    there = {message.id for message in catalogue if message.id and (message.string or language == "en")}

    assert there == wanted, "run make messages and translate what is new"
    assert not any(message.fuzzy for message in catalogue if message.id)


def in_arabic(*forms: str) -> Catalog:
    """A catalogue of one message that counts, with these forms."""
    catalogue = Catalog(locale="ar")
    catalogue.add(("%(num)s file", "%(num)s files"), forms)
    return catalogue


def test_a_message_that_counts_has_all_forms_and_its_number_in_most() -> None:
    wanted = Catalog()
    wanted.add(("%(num)s file", "%(num)s files"), ("", ""))
    whole = ("%(num)s", "واحد", "اثنان", "%(num)s", "d'un %(num)s", "%(num)s")
    check_catalogue(in_arabic(*whole), wanted)
    for forms, why in (
        (whole[:5], "not translated"),
        ((*whole[:5], ""), "not translated"),
        ((*whole[:5], "many"), "other placeholders"),
        (("%(other)s", *whole[1:]), "other placeholders"),
        ((*whole[:5], '%(num)s "x"'), "a straight quote"),
    ):
        with pytest.raises(RuntimeError, match=why):
            check_catalogue(in_arabic(*forms), wanted)


def spoilt(language: str, change: Callable[[Message], None]) -> Catalog:
    """A whole catalogue, and one of its messages changed."""
    catalogue = Catalog(locale=language)
    for message in read(LOCALE / "tipbox.pot"):
        if message.id:
            catalogue.add(message.id, message.id)
    change(next(message for message in catalogue if "{count}" in str(message.id)))
    return catalogue


def untranslated(message: Message) -> None:
    message.string = ""


def in_doubt(message: Message) -> None:
    message.flags.add("fuzzy")


def without_its_number(message: Message) -> None:
    message.string = str(message.string).replace("{count}", "")


def with_a_quote(message: Message) -> None:
    message.string = f'{message.string}"'


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (untranslated, "not translated"),
        (in_doubt, "not translated"),
        (without_its_number, "other placeholders"),
        (with_a_quote, "straight quote"),
    ],
)
def test_a_catalogue_that_is_not_whole_stops_the_build(change: Callable[[Message], None], word: str) -> None:
    wanted = read(LOCALE / "tipbox.pot")
    check_catalogue(spoilt("fr", lambda _: None), wanted)
    with pytest.raises(RuntimeError, match=word):
        check_catalogue(spoilt("fr", change), wanted)


def test_no_line_of_what_sources_read_in_french_begins_with_a_colon() -> None:
    said = [message.string or "" for message in read(LOCALE / "fr" / "LC_MESSAGES" / "tipbox.po")]
    forms = [form for string in said for form in ([string] if isinstance(string, str) else string)]
    assert any("\N{NO-BREAK SPACE}:" in form for form in forms)
    assert [form for form in forms if re.search("« | [:;?!»]", form)] == []


def test_what_safety_depends_on_is_marked_for_every_translator() -> None:
    careful = safety()
    assert {"Never type your code into another page.", *SAID_IN_CODE} < careful
    assert any("who is not on the list of this page" in one for one in careful)
    for path in (LOCALE / "tipbox.pot", *LOCALE.glob("*/LC_MESSAGES/tipbox.po")):
        marked = {message.id for message in read(path) if SAFETY in message.auto_comments}
        assert marked == careful, f"{path}: run make messages"


@pytest.mark.parametrize("words", [20, 21])
def test_a_long_sentence_on_safety_stops_the_build(words: int) -> None:
    wanted = read(LOCALE / "tipbox.pot")
    whole = spoilt("fr", lambda _: None)
    careful = whole["Never type your code into another page."]
    careful.string = f"Bon. {' '.join(['mots'] * words)}. Bon."
    if words > 20:
        with pytest.raises(RuntimeError, match="more than 20 words in fr: mots"):
            check_catalogue(whole, wanted)
    else:
        check_catalogue(whole, wanted)


def test_a_catalogue_of_other_messages_stops_the_build() -> None:
    wanted, whole = read(LOCALE / "tipbox.pot"), spoilt("fr", lambda _: None)
    whole.add("New.", "Nouveau.")
    with pytest.raises(RuntimeError, match="no longer wanted"):
        check_catalogue(whole, wanted)
    wanted.add("New.")
    wanted.add("Newer.")
    with pytest.raises(RuntimeError, match="missing in"):
        check_catalogue(whole, wanted)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_is_offered(language: str) -> None:
    assert language in available_languages()
