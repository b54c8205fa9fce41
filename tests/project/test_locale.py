"""The catalogues: extracted from what is there, and complete."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from support.tree import ROOT

LOCALE = ROOT / "tipbox" / "locale"
LANGUAGES = sorted(path.name for path in LOCALE.iterdir() if path.is_dir())


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, abort_invalid=True)


def test_the_template_holds_what_pages_and_server_say(tmp_path: Path) -> None:
    fresh = tmp_path / "tipbox.pot"
    program = ROOT / "tests" / "project" / "messages.py"
    subprocess.run((sys.executable, program, fresh), cwd=ROOT, check=True, capture_output=True)

    assert fresh.read_text() == (LOCALE / "tipbox.pot").read_text(), "run make messages"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_every_message(language: str) -> None:
    wanted = {message.id for message in read(LOCALE / "tipbox.pot") if message.id}
    catalogue = read(LOCALE / language / "LC_MESSAGES" / "tipbox.po")
    there = {message.id for message in catalogue if message.id and (message.string or language == "en")}

    assert there == wanted, "run make messages and translate what is new"
    assert not any(message.fuzzy for message in catalogue if message.id)
