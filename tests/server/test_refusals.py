"""What refusals say: each code has a status and a sentence, and translators find all that a page may show."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from flask import Flask
from flask_babel import Babel

import tipbox.server
from support.tree import ROOT
from tipbox.server.refusal import SENTENCES, Refusal
from tipbox.server.web import pages
from tipbox.server.web.answers import FORMAT_STATUS, STATUS, answer_errors
from tipbox.server.web.pages import Pages

PACKAGE = Path(tipbox.server.__file__).parent
JSON_ONLY = {"courier_api.py"}
"""Its refusals are never a page: couriers' programs read them."""


def template() -> set[str]:
    """What translators are given."""
    with (ROOT / "tipbox" / "locale" / "tipbox.pot").open("rb") as file:
        return {str(message.id) for message in read_po(file) if message.id}


def own_sentences(path: Path) -> Iterator[str]:
    """The sentences that a file gives to refusals, where they are written in place."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"Refusal", "N_"}:
            yield from (
                constant.value
                for argument in node.args[node.func.id == "Refusal" :]
                for constant in ast.walk(argument)
                if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
            )


def test_each_code_has_a_status_and_a_sentence() -> None:
    assert STATUS.keys() == SENTENCES.keys()
    assert all(SENTENCES.values())


def test_codes_are_one_closed_set() -> None:
    """Section 4 of protocol.md, the statuses of Python and the codes of TypeScript: the same, in the same order."""
    section = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8").split("\n## 4.")[1].split("\n## 5.")[0]
    table = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", section, re.MULTILINE)
    script = (ROOT / "client" / "src" / "errors.ts").read_text(encoding="utf-8")
    listed = re.search(r"PROTOCOL_CODES = \[(.*?)\]", script, re.DOTALL)

    assert table == [(code, str(status)) for code, status in STATUS.items()]
    assert listed is not None
    # `incomplete` is a code of the format as well, and stands there.
    assert re.findall(r'"([a-z-]+)"', listed[1]) == [code for code, _ in table if code != "incomplete"]


def test_translators_find_every_sentence() -> None:
    found = template()

    assert set(SENTENCES.values()) - found == set(), "run make messages"
    for path in PACKAGE.rglob("*.py"):
        if path.name not in JSON_ONLY:
            assert set(own_sentences(path)) - found == set(), f"run make messages: {path}"


@pytest.mark.parametrize("code", [*SENTENCES, "malformed"])
def test_a_page_of_an_error_is_in_the_visitors_language(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "gettext", lambda text: f"translated: {text}")
    monkeypatch.setattr(pages, "render_template", lambda _name, **values: str(values["message"]))
    monkeypatch.setattr(Pages, "language", lambda *_: "en")
    app = Flask(__name__)
    Babel(app)
    answer_errors(app, Pages(None, None, None, ["en"], None).error, None)  # type: ignore[arg-type]
    message = "" if code in SENTENCES else "The request is malformed."

    @app.get("/page")
    def page() -> str:
        raise Refusal(code, message)

    answer = app.test_client().get("/page")

    assert answer.status_code == STATUS.get(code, FORMAT_STATUS)
    assert answer.text == f"translated: {SENTENCES.get(code, message)}"
