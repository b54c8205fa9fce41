"""What no test notices has a reason, and what has a reason no test notices: on a made-up run of mutmut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from project.survivors import LIST, compare, reasons, survivors
from support.tree import ROOT

MUTATED = """
def x_parts__mutmut_orig(size: int) -> int:
    return -(-size // 64)

def x_parts__mutmut_1(size: int) -> int:
    return -(+size // 64)

def x_parts__mutmut_2(size: int) -> int:
    return -(-size // 65)

class Entry:
    def xǁEntryǁencode__mutmut_orig(self) -> bytes:
        return bytes(
            4
        )

    def xǁEntryǁencode__mutmut_1(self) -> bytes:
        return bytes(
            5
        )
"""
PADDING, KEY = "tipbox.formats.base.padding", "tipbox.formats.base.padding.x_parts__mutmut_"


def made(folder: Path, **codes: int | None) -> Path:
    """A run: exit codes by the end of a mutant's name."""
    place = folder / "tipbox" / "formats" / "base"
    place.mkdir(parents=True)
    (place / "padding.py").write_text(MUTATED, encoding="utf-8")
    results = {f"{PADDING}.{name}": code for name, code in codes.items()}
    (place / "padding.py.meta").write_text(json.dumps({"exit_code_by_key": results}), encoding="utf-8")
    return folder


def test_a_survivor_is_named_by_its_function_and_what_it_changed(tmp_path: Path) -> None:
    run = made(tmp_path, x_parts__mutmut_1=0, x_parts__mutmut_2=1, xǁEntryǁencode__mutmut_1=33)

    assert dict(survivors(run)) == {
        "base.padding.parts: return -(+size // 64)": "survived",
        "base.padding.Entry.encode: 5": "no test reaches it",
    }


def test_a_run_that_is_not_at_its_end_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not all mutants have run"):
        dict(survivors(made(tmp_path, x_parts__mutmut_1=0, x_parts__mutmut_2=None)))


@pytest.mark.parametrize(
    ("listed", "code", "said"),
    [
        (["base.padding.parts: return -(+size // 64)"], 0, "0 of them without a reason"),
        ([], 1, "survived: base.padding.parts: return -(+size // 64)"),
        (
            ["base.padding.parts: return -(+size // 64)", "base.padding.parts: return 0"],
            1,
            "listed, and noticed by a test or not there: base.padding.parts: return 0",
        ),
    ],
)
def test_the_list_is_what_survives(listed: list[str], code: int, said: str, tmp_path: Path) -> None:
    run = made(tmp_path, x_parts__mutmut_1=0, x_parts__mutmut_2=1)
    lines = list(compare(dict.fromkeys(listed, "equal"), dict(survivors(run))))

    assert len(lines) == code + 1
    assert said in "\n".join(lines)


def test_each_change_has_one_reason_and_its_function_is_there(tmp_path: Path) -> None:
    for change in reasons():
        *place, function = change.partition(": ")[0].split(".")
        folder = ROOT.joinpath("tipbox", "formats", *place)
        modules = [place.with_suffix(".py") for place in (folder, folder.parent)]
        modules += [place / "__init__.py" for place in (folder, folder.parent)]
        text = "".join(path.read_text(encoding="utf-8") for path in modules if path.exists())
        assert f"def {function}(" in text, change

    for text in ('[[group]]\nreason = ""\nchanges = ["a"]', '[[group]]\nreason = "b"\nchanges = ["a", "a"]'):
        (tmp_path / LIST.name).write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="has no reason, or two"):
            reasons(tmp_path / LIST.name)
