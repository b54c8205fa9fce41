"""The staff guide in other languages: each page says what the English one says, and its check finds where not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from project.guide import translated
from project.guide.translated import HEADS, ROOT, STAFF, Page, check, check_text, text_id, with_head

OF_NOW = "0" * 40


def page_of(language: str, name: str) -> Page:
    return next(page for page in translated.pages() if page.path == f"{STAFF}/{language}/{name}")


@pytest.mark.parametrize("language", HEADS)
def test_the_pages_of_a_language_say_what_the_english_say(language: str) -> None:
    pages = [page for page in translated.pages() if page.language == language]
    assert len(pages) > 16
    assert [fault for page in pages for fault in check(page)] == []
    assert {page.path for page in pages} == {str(path.relative_to(ROOT)) for path in ROOT.glob(f"{STAFF}/{language}/*")}


def test_there_is_no_other_folder_than_those_of_languages() -> None:
    assert {path.name for path in (ROOT / STAFF).iterdir() if path.is_dir()} == set(HEADS)
    assert {path.name for path in (ROOT / "tipbox" / "locale").iterdir() if path.is_dir()} == {*HEADS, "en"}


@pytest.mark.parametrize(
    ("name", "before", "after", "fault"),
    [
        ("unlock.md", "\n1. ", "\n- ", "another shape"),
        ("unlock.md", "--vault kibhr", "--vault khibr", "other code"),
        ("unlock.md", "`--lock-after`", "`--lock`", "`--lock-after` is missing"),
        ("unlock.md", "(../commands.md)", "(read.md)", "links to"),
        ("unlock.md", "**Разблокировать**", "**Открыть**", "bold 'Unlock' is not there as the desk says it: Разбл"),
        ("unlock.md", "*Входящие*", "*Ящик*", "italic 'Inbox' is not there"),
        ("unlock.md", "**Заблокировать**", "**Заблокировать**, **Назад**", "bold 'Назад' is not in the English"),
        ("unlock.md", "носитель", "переводчик", "below its title it has to say"),
        ("unlock.md", "<!-- ", "<!-- the ", "its first line has to be"),
        ("answer.md", "«Отозвано.»", "«Возвращено.»", "said 'Taken back.' is not there"),
        ("answer.md", "desk-answer.png", "desk-file.png", "links to"),
        ("answer.md", "| доставлено |", "| дошло |", "cell 'delivered' is not there"),
        ("answer.md", "сервером: full", "сервером: полно", "cell 'refused by the server: full' is not there"),
        ("sort.md", "*+3 такие же*", "*+2 похожие*", "italic '+3 the same' is not there"),
        ("people.md", "`Timur`", "`Тимур`", "`Timur` is missing"),
        ("people.md", "`шесть своих слов`", "шесть своих слов", "code that is not in the English"),
        ("carry-out.md", "*What the server", "*Что сервер", "italic 'What the server took"),
        ("first-hour.md", "**Компьютер изъят.**", "**Компьютер забрали.**", "bold 'The machine is seized.'"),
        ("first-hour.md", "| other keys since |", "| другие ключи |", "cell 'other keys since' is not there"),
        ("README.md", "(first-hour.md)", "(../../desk-first-hour.md)", "which is there in this language, too"),
        ("first-hour.md", "- [ ] Флешка", "- Флешка", "another shape"),
        ("refusals.md", "## Люди", "### Люди", "another shape"),
        ("forget.md", "- Причина остаётся", "- Ещё пункт.\n- Причина остаётся", "blocks instead of"),
    ],
)
def test_a_page_that_says_something_else_is_found(name: str, before: str, after: str, fault: str) -> None:
    page = page_of("ru", name)
    text = page.read()
    assert before in text
    found = list(check_text(page, text.replace(before, after), page.read_english(), text_id(page.english)))
    assert any(fault in one for one in found), found


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('<div dir="rtl">\n\n', "", "it has to stand in"),
        ('   <div dir="ltr">\n\n', "", "a command outside of"),
        ("\n   </div>\n", "", "a command outside of"),
        ("\u2068`kibhr.json`\u2069", "`kibhr.json`", "a path would lose its first slash"),
    ],
)
def test_what_is_read_from_right_to_left_says_so(before: str, after: str, fault: str) -> None:
    page = page_of("ar", "stick-lost.md")
    text = page.read()
    assert before in text
    found = list(check_text(page, text.replace(before, after), page.read_english(), text_id(page.english)))
    assert any(fault in one for one in found), found


@pytest.mark.parametrize("language", HEADS)
def test_a_page_whose_english_changed_is_refused_until_it_tells_its_reader(language: str) -> None:
    page = page_of(language, "stick-lost.md")
    changed = page.read_english() + "\n- New.\n"
    (fault,) = check_text(page, page.read(), changed, OF_NOW)
    assert "stick-lost.md has changed: see git diff" in fault
    outdated = with_head(page, page.read(), is_current=False)
    assert HEADS[language]["outdated"].strip() in outdated
    assert list(check_text(page, outdated, changed, OF_NOW)) == []
    assert with_head(page, outdated, is_current=True) == page.read()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A page and its English one in a tree of their own, where git has no part."""
    page = page_of("fr", "copy.md")
    for path in (page.path, page.english):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(translated, "pages", lambda: [page])
    monkeypatch.setattr(translated, "ROOT", tmp_path)
    monkeypatch.setattr(translated, "messages", lambda language, read=translated.messages: read(language))
    return lambda path: tmp_path / path


def test_the_program_marks_and_renews(
    tree: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, outdated = translated.pages()[0], HEADS["fr"]["outdated"].strip()
    there = tree(page.path)
    translated.messages("fr")  # read from the real tree
    assert translated.main([]) == 0
    monkeypatch.setattr(translated, "text_id", lambda _: OF_NOW)
    assert translated.main([]) == 1
    assert "copy.md has changed" in capsys.readouterr().out
    assert translated.main(["--outdated"]) == 0
    assert outdated in there.read_text(encoding="utf-8")
    assert translated.main(["--current", page.path]) == 0
    text = there.read_text(encoding="utf-8")
    assert outdated not in text
    assert text.startswith(f"<!-- {page.english} of {OF_NOW} -->")
    there.unlink()
    assert any("not there" in fault for fault in check(page))
