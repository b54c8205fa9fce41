"""The reference opener, written from docs/format.md alone, against the vectors, in an interpreter without tipbox."""

import base64
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.pieces import envelope_bytes

TESTS = Path(__file__).resolve().parents[1]
OPENER = Path(__file__).with_name("reference_open.py")
FILES = sorted(file for kind in ("envelope", "reply") for file in (TESTS / "vectors" / kind).glob("*.json"))
CASES = {f"{case['kind']}/{case['name']}": case for case in (json.loads(file.read_bytes()) for file in FILES)}
OPENED = [name for name, case in CASES.items() if case["expect"] == "ok"]
REFUSED = [name for name, case in CASES.items() if case["expect"] != "ok"]

# Runs the opener as a program, then tells on stderr which modules that has loaded, and what had been there before.
RUN = """
import json, runpy, sys
before = sorted(sys.modules)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
json.dump({"before": before, "after": sorted(sys.modules)}, sys.stderr)
"""


@dataclass(frozen=True)
class Run:
    """What one run over all cases said, by the case's name, and the top-level modules before and after it."""

    said: dict[str, dict[str, Any]]
    before: set[str]
    after: set[str]


@pytest.fixture(scope="module")
def run() -> Run:
    asked = [
        {"name": name, "kind": case["kind"], "input": {**case["input"], "envelope": whole(case["input"])}}
        for name, case in CASES.items()
    ]
    command = [sys.executable, "-I", "-W", "error", "-c", RUN, str(OPENER)]
    lines = "".join(json.dumps(case) + "\n" for case in asked)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    said = map(json.loads, done.stdout.splitlines())
    modules = {when: {name.split(".")[0] for name in names} for when, names in json.loads(done.stderr).items()}
    return Run({line["name"]: line for line in said}, modules["before"], modules["after"])


def whole(given: dict[str, Any]) -> str:
    """The bytes that a case's pieces stand for."""
    return base64.b64encode(envelope_bytes(given)).decode()


def test_every_case_is_read(run: Run) -> None:
    assert len(OPENED) >= 10
    assert len(REFUSED) >= 50
    assert run.said.keys() == CASES.keys()


@pytest.mark.parametrize("name", OPENED)
def test_opens(run: Run, name: str) -> None:
    assert run.said[name] == {"name": name, "code": "ok", "output": CASES[name]["output"]}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(run: Run, name: str) -> None:
    assert run.said[name] == {"name": name, "code": CASES[name]["expect"]}


def test_imports_nothing_of_tipbox(run: Run) -> None:
    loaded = run.after - run.before - sys.stdlib_module_names
    assert "tipbox" not in run.after
    assert "cryptography" in loaded
    assert loaded <= {"cryptography", "_cffi_backend", "_openssl"}


def test_is_short() -> None:
    assert len(OPENER.read_text(encoding="utf-8").splitlines()) <= 200
