"""The staff guide, step by step in a browser: its words and pictures are those of the pages."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from desk.pages import guide
from desk.pages.hand import Hand
from desk.pages.serving import serving
from support.desk import Desk, Desks, Exporter
from tipbox.desk.pages.page_app import create_app
from tipbox.desk.pages.page_texts import install_texts
from tipbox.desk.pages.said_lines import KINDS
from tipbox.desk.pages.session import Session
from tipbox.desk.render.look_lines import Line, Sign

pytestmark = pytest.mark.reads_date

STAFF: Final = guide.GUIDE.parent / "staff"
COMMANDS: Final = STAFF / "commands.md"
REFUSALS: Final = STAFF / "refusals.md"
FROM_SOURCES: Final = {"IMG_2041.jpg"}
"""Names that sources gave."""


def test_the_guide_can_be_followed_to_its_end(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path, hand: Hand
) -> None:
    given = guide.prepare(desks, server, tmp_path)
    with serving(desk, tmp_path / "scratch") as pages:
        hand.goto(pages.url)
        walker = guide.Walker(hand, given)
        for step in guide.steps():
            walker.take(step)
    assert (tmp_path / "stick" / "back.bundle").is_file()
    assert (tmp_path / "expert").is_dir()


def test_each_page_of_the_guide_is_named_once_in_its_order() -> None:
    text = guide.GUIDE.read_text(encoding="utf-8")
    named = re.findall(r"\]\(staff/([\w-]+\.md)\)", text)
    assert sorted(named) == sorted(path.name for path in STAFF.glob("*.md"))
    assert all(list(guide.acts(item.read_text(encoding="utf-8"))) for item in guide.pages())
    assert len(guide.pages()) == 13


def test_each_button_that_the_guide_names_is_on_a_page() -> None:
    known = guide.names_in_templates() | FROM_SOURCES
    assert {"Unlock", "Your passphrase", "Open", "Tags, with commas between them", "Received", "Mine"} <= known
    named = {
        name
        for path in (guide.GUIDE, *STAFF.glob("*.md"))
        if path != COMMANDS
        for name in re.findall(r"\*\*([^*]+)\*\*", path.read_text(encoding="utf-8"))
    }
    assert named - known - {"buttons and fields"} == set()
    assert len(named) > 50


def test_a_step_is_read_as_it_is_meant() -> None:
    item = (
        'On *Inbox*: type `a b` into **Search**, press `Enter`, press **Open** and see "c". `d` ![x](../pictures/e.png)'
    )
    assert list(guide.acts(item)) == [
        guide.Act("screen", "Inbox"),
        guide.Act("type", "Search", "a b"),
        guide.Act("key", "Enter"),
        guide.Act("button", "Open"),
        guide.Act("said", "c"),
        guide.Act("picture", "e.png"),
    ]


def refused_by_pages() -> set[str]:
    """What pages refuse in sentences of their own."""
    found: set[str] = set()
    for path in (guide.ROOT / "tipbox" / "desk" / "pages").glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "PageRefused":
                found |= {str(one.value) for one in ast.walk(call) if isinstance(one, ast.Constant)}
    return found


def test_each_refusal_of_the_pages_is_explained() -> None:
    said = {*KINDS.values(), *refused_by_pages(), *(one.sentence for one in (*Line, *Sign))}
    text = REFUSALS.read_text(encoding="utf-8")
    assert len(said) > 70
    assert [one for one in said if f"- *{one}*" not in text] == [], "write what to do into docs/staff/refusals.md"


def test_each_refusal_that_is_explained_is_one_of_the_desk() -> None:
    sources = "".join(
        re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))
        for path in (guide.ROOT / "tipbox" / "desk").rglob("*.py")
    )
    explained = re.findall(r"^- \*([^*]+)\*", REFUSALS.read_text(encoding="utf-8"), re.MULTILINE)
    assert [one for one in explained if one.split("…")[0].removesuffix("(").strip() not in sources] == []


# --- the first hour, on the pages -------------------------------------------------------------------------------------


def first_hour(language: str) -> str:
    """The guide that the shell carries, as anybody gets it."""
    session = Session(Path("nowhere"), "token", seconds=1)
    session.address = "127.0.0.1:1"
    app = create_app(session, language)
    try:
        shell = app.test_client().get("/", base_url=f"http://{session.address}").get_data(as_text=True)
    finally:
        install_texts(app, "en")
    return str(re.findall(r'<dialog id="guide".*?</dialog>', shell, re.DOTALL)[0])


def test_the_first_hour_is_there_in_six_languages_and_says_who_read_it() -> None:
    pages = {language: first_hour(language) for language in ("en", "kk", "ru", "fr", "es", "ar")}
    assert "No native speaker has reviewed any but the English." in pages["en"]
    shapes = {tuple(re.findall(r"<(?:li|dt|dd|b|code)\b", page)).__len__() for page in pages.values()}
    assert len(shapes) == 1, "every language has every line, name and command"
    assert len({re.sub(r"<[^>]+>", "", page) for page in pages.values()}) == len(pages)
    assert not [language for language, page in pages.items() if "%(" in page]


def test_the_first_hour_names_buttons_and_commands_that_are_tried() -> None:
    text = (guide.TEMPLATES / "first_hour.html").read_text(encoding="utf-8")
    named = set(re.findall(r'b\(_\("([^"]+)"\)\)', text))
    assert named - guide.names_in_templates() == set()
    assert len(named) > 10
    tried = (guide.GUIDE.parent / "desk-first-hour.md").read_text(encoding="utf-8")
    said = [re.sub(r" --passphrase-file pass\b", "", line) for line in tried.splitlines()]
    commands = re.findall(r'c\("(tipbox [^"]+)"\)', text)
    assert len(commands) == 4
    assert [one for one in commands if not any(one in line for line in said)] == []
