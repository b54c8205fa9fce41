"""The cases of tests/vectors, read with tipbox; and that codes, classes and cases are one closed set."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.organisations import RUN, VECTORS, Case, cases, outcome
from tipbox.errors import BY_CODE, FORMAT_ERRORS

ROOT = Path(__file__).resolve().parents[2]
ALL = cases()


def name(case: Case) -> str:
    return f"{case['kind']}/{case['name']}"


@pytest.mark.parametrize("case", ALL, ids=name)
def test_case(case: Case) -> None:
    """What must open gives exactly its output and the same bytes again; what must fail fails with exactly its code."""
    assert outcome(case) == (case["expect"], case.get("output"))


def test_cases_say_what_they_are() -> None:
    named = {name(case): case for case in ALL}
    for path in VECTORS.glob("*/*.json"):
        found = named[f"{path.parent.name}/{path.stem}"]

        assert found["comment"]
        assert found["expect"] in {"ok", *BY_CODE}
        assert ("output" in found) == (found["expect"] in {"ok", "damaged-item"})
    assert {case["kind"] for case in ALL} == set(RUN)


def test_every_code_has_a_case() -> None:
    assert {case["expect"] for case in ALL} == {"ok", *BY_CODE}


def test_codes_are_one_closed_set() -> None:
    """Section 7 of format.md, the classes of Python and the codes of TypeScript are the same, in the same order."""
    text = (ROOT / "docs" / "format.md").read_text(encoding="utf-8").split("\n## 7.")[1].split("\n## 8.")[0]
    table = re.findall(r"^\| `([a-z-]+)` \| ([A-Za-z]+) \|", text, re.MULTILINE)
    script = (ROOT / "client" / "src" / "errors.ts").read_text(encoding="utf-8")
    listed = re.search(r"FORMAT_CODES = \[(.*?)\]", script, re.DOTALL)

    assert listed is not None
    assert [(error.code, error.__name__) for error in FORMAT_ERRORS] == table
    assert re.findall(r'"([a-z-]+)"', listed[1]) == [code for code, _ in table]
    assert len(BY_CODE) == len(FORMAT_ERRORS)


def test_generator_makes_the_same_bytes(tmp_path: Path) -> None:
    """Nothing in the folder is made by hand, and making it is repeatable."""
    subprocess.run((sys.executable, VECTORS / "generate.py", tmp_path), check=True, capture_output=True)
    made = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.glob("*/*.json")}
    kept = {str(path.relative_to(VECTORS)): path.read_bytes() for path in VECTORS.glob("*/*.json")}

    todo = "run tests/vectors/generate.py"
    assert sorted(made) == sorted(kept), todo
    assert [path for path in made if made[path] != kept[path]] == [], todo
