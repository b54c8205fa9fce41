"""What refusals say: each code has a status and a sentence, and translators find all that pages say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from flask import Flask, Response

import tipbox.server
from support.tree import ROOT
from tipbox.server.refusal import SENTENCES, Refusal
from tipbox.server.web.answers import FORMAT_STATUS, STATUS, answer_errors

PACKAGE = Path(tipbox.server.__file__).parent


def template() -> set[str]:
    """What translators are given."""
    with (ROOT / "tipbox" / "locale" / "tipbox.pot").open("rb") as file:
        return {str(message.id) for message in read_po(file) if message.id}


def own_sentences(path: Path) -> Iterator[str]:
    """The sentences that a file marks for translators."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "N_":
            yield from (
                constant.value
                for argument in node.args
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


def test_translators_find_every_sentence_of_the_pages() -> None:
    """Those of refusals are read by programs: a page that is refused is one file of the site."""
    sentences = {sentence for path in PACKAGE.rglob("*.py") for sentence in own_sentences(path)}

    assert len(sentences) >= 5
    assert sentences - template() == set(), "run make messages"


@pytest.mark.parametrize("code", [*SENTENCES, "malformed"])
def test_below_the_api_an_error_is_json_and_elsewhere_one_page(code: str) -> None:
    app = Flask(__name__)
    answer_errors(app, lambda _refusal, status: Response("the page", status), None)
    message = "" if code in SENTENCES else "The request is malformed."

    @app.get("/page", endpoint="page")
    @app.get("/api/page", endpoint="api")
    def page() -> str:
        raise Refusal(code, message)

    answer, of_api = app.test_client().get("/page"), app.test_client().get("/api/page")

    assert answer.status_code == of_api.status_code == STATUS.get(code, FORMAT_STATUS)
    assert answer.text == "the page"
    assert of_api.json == {"error": code, "message": SENTENCES.get(code, message)}
