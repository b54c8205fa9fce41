"""The pages pass their check, and the check finds what it is there for."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from project.docs_check import CELL, ROOT, all_pages, check_page, sentences
from tipbox import __version__
from tipbox.errors import FORMAT_ERRORS, Exit, TipboxError

GOOD = """---
name: front matter. It is for forges
about: not for readers
---

# A page

One sentence, with `code. Code` in it, e.g. this one.
Another (in brackets).
**A third one.**
And a list that goes on;
after a clause: 2.5 is no end.

- An item.
  Its second sentence.

| cell | cell |
|---|---|
| short. Two sentences are fine here | [a link](other.md#a-heading) |

```
Code may say anything. It may say the the. tipbox/not/there
make check      # make sure that it is fast
```

`tipbox/cli.py::main`, `tipbox/v1/label`, `keys/NAME.json` and `client/dist/page.js` are fine.
So are `make check ARGS=-x` and `make`; to make sense of prose is not asked.
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tipbox").mkdir()
    (tmp_path / "tipbox" / "cli.py").touch()
    (tmp_path / "Makefile").write_text("LONG := 1\ncheck: lint  ## the fast loop\n", encoding="utf-8")
    (tmp_path / "other.md").write_text("# Top\n\n## A heading\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("page", all_pages())
def test_page(page: str) -> None:
    assert [str(fault) for fault in check_page(page, (ROOT / page).read_text(encoding="utf-8"))] == []


def misspelt(*paths: Path) -> list[str]:
    """What `make lint` finds in these files, or in the whole tree."""
    command = (sys.executable, "-m", "codespell_lib", "--toml", "pyproject.toml", *map(str, paths))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_spelling() -> None:
    assert misspelt() == []


def test_every_page_is_found() -> None:
    assert {"README.md", "docs/format.md", "docs/glossary.md", "tests/vectors/README.md"} <= set(all_pages())


def test_a_good_page_has_no_faults(tree: Path) -> None:
    assert check_page("page.md", GOOD, tree) == []


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ("One sentence. Another one.", "more than one sentence"),
        ("- One sentence. `code` begins another.", "more than one sentence"),
        ("1. (One sentence.) Another one.", "more than one sentence"),
        ("A sentence that goes\non in the next line.", "broken within a clause"),
        ("- An item that goes\n  on in the next line.", "broken within a clause"),
        (f"| short | {'x' * (CELL + 1)} |", f"a cell of {CELL + 1} characters"),
        ("Here is the the typo.", "a word twice"),
        ("A word at the end of a line; the\nthe next begins with it.", "a word twice"),
        ("- Here is The the typo.", "a word twice"),
        ("[A link](nowhere.md) leads nowhere.", "a dead link"),
        ("[A link](other.md#no-such) leads nowhere.", "no such heading"),
        ("[A link](#no-such) leads nowhere.", "no such heading"),
        ("`tipbox/gone.py` is not there.", "not in the tree"),
        ("Run `python tests/gone.py`.", "not in the tree"),
        ("Run `make gone`.", "no such target of make: gone"),
        ("```\ncd tests && make gone ARGS=-x\n```", "no such target of make: gone"),
    ],
)
def test_a_bad_page_is_found(tree: Path, bad: str, fault: str) -> None:
    found = check_page("page.md", f"# Page\n\n{bad}\n", tree)
    assert [one for one in found if fault in str(one)], found


def test_a_misspelt_word_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("We recieve tips.\n", encoding="utf-8")  # codespell:ignore recieve
    (found,) = misspelt(page)
    assert found.endswith("==> receive")


def test_the_program_fails_on_a_bad_page(tmp_path: Path) -> None:
    """`make lint` goes by its exit code."""
    page = tmp_path / "page.md"
    page.write_text("One sentence. Another one.\n", encoding="utf-8")
    command = (sys.executable, ROOT / "tests" / "project" / "docs_check.py", page)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r".*page\.md:1: more than one sentence: Another one\.\n", done.stdout)


def test_sentences() -> None:
    assert sentences("It is 2.5 MB, e.g. of `a. B` here.") == ["It is 2.5 MB, e.g. of `a. B` here."]
    assert sentences("One. **Two.** Three? (Four!) 5.") == ["One.", "**Two.**", "Three?", "(Four!)", "5."]


def test_sentences_of_other_languages() -> None:
    assert sentences("Один, см. ниже. Два.") == ["Один, см. ниже.", "Два."]
    assert sentences("Il dit « Un ! » Puis « Deux. »") == ["Il dit « Un ! »", "Puis « Deux. »"]
    assert sentences("¿Uno? ¡Dos! Él.") == ["¿Uno?", "¡Dos!", "Él."]
    assert sentences("واحد؟ اثنان. «ثلاثة.» أربعة.") == ["واحد؟", "اثنان.", "«ثلاثة.»", "أربعة."]


def test_citation_names_the_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation


def test_make_lint_runs_the_check() -> None:
    lint = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nlint:")[1].split("\n\n")[0]
    assert "tests/project/docs_check.py" in lint
    assert "-m codespell_lib" in lint


def subclasses(kind: type[TipboxError]) -> Iterator[type[TipboxError]]:
    """All errors below one, of the modules that are loaded."""
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def test_the_page_of_exit_codes_names_every_code() -> None:
    """Codes of formats that end a command with 3, as most do, may be left out: they are in docs/format.md."""
    section = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8").split("\n## ")[1]
    rows = re.findall(r"^\| (`[^|]+) \| (\d+) \|", section, re.MULTILINE)
    listed = {code: int(number) for codes, number in rows for code in re.findall(r"`([a-z-]+)`", codes)}
    raising = ("cli", "courier.courier_key", "release.release_errors", "desk.desk_errors", "demo")
    for module in (*raising, "commands.server.server_group"):
        import_module(f"tipbox.{module}")
    found = {one.code: int(one.exit_code) for one in subclasses(TipboxError) if one.__module__.startswith("tipbox.")}
    plain = {error.code for error in FORMAT_ERRORS if error.exit_code == Exit.REFUSED}
    assert {code: number for code, number in found.items() if code not in plain or code in listed} == listed
