"""Compares what `make mutants` found with tests/formats/survivors.toml: python tests/project/survivors.py.

Each change of `tipbox/formats` that no test notices has a reason there, and nothing else is listed. A change is named
by its function and by the lines as it makes them: numbers of mutants move with each line of code.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from difflib import ndiff
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LIST: Final = ROOT / "tests" / "formats" / "survivors.toml"
SURVIVED: Final = {0: "survived", 33: "no test reaches it"}
"""Exit codes of mutmut for what was not noticed. All others are of tests that failed, or ran out of time or memory."""
_PREFIX: Final = "tipbox.formats."
_MANGLED: Final = re.compile(r"(?:x_|xǁ)(.*)__mutmut_(\d+)")


def reasons(path: Path = LIST) -> dict[str, str]:
    """Each listed change and its reason.

    Raises:
        ValueError: a group has no reason, or a change stands twice.
    """
    found: dict[str, str] = {}
    for group in tomllib.loads(path.read_text(encoding="utf-8"))["group"]:
        for change in group["changes"]:
            if not group["reason"] or change in found:
                raise ValueError(f"{path.name}: {change} has no reason, or two")
            found[change] = group["reason"]
    return found


def survivors(folder: Path) -> Iterator[tuple[str, str]]:
    """What no test noticed in the copy of the tree that mutmut made: the change, and how it survived.

    Raises:
        ValueError: the run is not at its end.
    """
    for path in sorted(folder.glob("tipbox/formats/**/*.py.meta")):
        results = json.loads(path.read_bytes())["exit_code_by_key"]
        if None in results.values():
            raise ValueError("not all mutants have run: make mutants goes on where it was")
        functions = _functions(path.with_suffix("")) if set(results.values()) & SURVIVED.keys() else {}
        for key, code in results.items():
            if code in SURVIVED:
                yield _change(key, functions), SURVIVED[code]


def _functions(path: Path) -> dict[str, list[str]]:
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    return {
        node.name: lines[node.lineno : node.end_lineno]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }


def _change(key: str, functions: dict[str, list[str]]) -> str:
    module, _, mangled = key.rpartition(".")
    name = _MANGLED.fullmatch(mangled)
    assert name is not None, key
    before = functions[mangled.replace(f"__mutmut_{name[2]}", "__mutmut_orig")]
    lines = [line[2:].strip() for line in ndiff(before, functions[mangled]) if line.startswith("+ ")]
    return f"{module.removeprefix(_PREFIX)}.{name[1].replace('ǁ', '.')}: {' '.join(lines)}"


def compare(known: dict[str, str], found: dict[str, str]) -> Iterator[str]:
    """What is without a reason, then reasons without such a change, and a line that counts."""
    new = sorted(found.keys() - known.keys())
    yield from (f"{found[change]}: {change}" for change in new)
    yield from (
        f"listed, and noticed by a test or not there: {change}" for change in sorted(known.keys() - found.keys())
    )
    yield f"{len(found)} changes no test notices, {len(new)} of them without a reason in tests/formats/{LIST.name}"


def main() -> int:
    """Prints the comparison; 1 unless each change has its reason and each reason its change."""
    lines = list(compare(reasons(), dict(survivors(ROOT / "mutants"))))
    print("\n".join(lines))  # noqa: T201 (a program)
    return len(lines) > 1


if __name__ == "__main__":
    sys.exit(main())
