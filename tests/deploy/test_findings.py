"""What of a check's findings speaks against a new version, and what was there before it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.world import ROOT

WELL = {"check": "database", "ok": True, "message": "the database is whole", "mend": "", "wrong": 0}


def bad(check: str, wrong: int | None = 1, message: str = "not well") -> dict[str, Any]:
    return {"check": check, "ok": False, "message": message, "mend": "mend it", "wrong": wrong}


def counted_by_nobody(check: str, message: str = "not well") -> dict[str, Any]:
    """As programs said it that did not count."""
    return {name: value for name, value in bad(check, message=message).items() if name != "wrong"}


def judged(before: object, after: object, folder: Path) -> tuple[int, list[str]]:
    """As upgrade.sh asks: the exit code, and what the operator reads."""
    file = folder / "found"
    file.write_text(before if isinstance(before, str) else json.dumps(before))
    done = subprocess.run(
        (sys.executable, "-I", ROOT / "deploy" / "findings.py", file),
        input=after if isinstance(after, str) else json.dumps(after),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_a_server_that_is_well_is_well(tmp_path: Path) -> None:
    assert judged([WELL], [WELL], tmp_path) == (0, [])


AGED = [bad("clock"), bad("settled"), bad("manifests"), bad("room")]


def test_what_was_there_before_is_said_and_takes_nothing_back(tmp_path: Path) -> None:
    found = [*AGED, bad("blobs", 3, "3 bodies are gone or cut"), bad("ledger"), bad("modes", 2), bad("headers", 4)]

    status, lines = judged(found, found, tmp_path)

    assert status == 0
    assert lines == [f"was there before, and still is: {one['check']}: {one['message']}" for one in found]


@pytest.mark.parametrize("before", [[WELL], [], "", "[", '{"error": "usage"}', "[1]", '[{"check": 3}]'])
def test_what_time_brings_takes_nothing_back_even_when_only_the_new_version_saw_it(
    tmp_path: Path, before: object
) -> None:
    """The clock's jump is first seen by the program that starts after it; an old program may not answer at all."""
    status, lines = judged(before, [WELL, *AGED], tmp_path)

    assert status == 0
    assert [line for line in lines if "not known" not in line] == [
        f"came with time, not with this version: {one['check']}: not well" for one in AGED
    ]
    assert any("is not known" in line for line in lines) is (before != [WELL])


@pytest.mark.parametrize(
    "check", ["server", "modes", "database", "blobs", "ledger", "headers", "units", "not known yet"]
)
@pytest.mark.parametrize("before", [[WELL], [bad("settled")], ""])
def test_what_is_new_takes_the_upgrade_back(tmp_path: Path, check: str, before: object) -> None:
    status, lines = judged(before, [*AGED, bad(check)], tmp_path)

    assert status == 1
    assert f"NEW: {check}: not well" in lines


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (1, 5, 1),
        (5, 5, 0),
        (5, 1, 0),
        (1, None, 1),  # nobody could look any more
        (None, None, 0),
        (None, 1, 0),
    ],
)
def test_what_became_worse_takes_the_upgrade_back(
    tmp_path: Path, before: int | None, after: int | None, status: int
) -> None:
    earlier, now = bad("blobs", before, f"{before} bodies"), bad("blobs", after, f"{after} bodies")

    found, lines = judged([earlier], [now], tmp_path)

    assert found == status
    assert (lines == [f"WORSE: blobs: {after} bodies (before: blobs: {before} bodies)"]) is (status == 1)


def test_of_programs_that_did_not_count_the_name_decides_and_both_are_said(tmp_path: Path) -> None:
    earlier, now = counted_by_nobody("blobs", "1 bodies"), bad("blobs", 5, "5 bodies")

    assert judged([earlier], [now], tmp_path) == (
        0,
        ["was there before, and still is: blobs: 5 bodies (before: blobs: 1 bodies)"],
    )
    assert judged([earlier], [bad("blobs", None)], tmp_path)[0] == 1
    assert judged([earlier], [counted_by_nobody("blobs")], tmp_path)[0] == 0  # the old program, after a roll-back


def test_a_server_that_cannot_be_opened_is_judged_by_nothing_before(tmp_path: Path) -> None:
    """None of its other checks could be made."""
    assert judged([bad("server", None)], [bad("server", None)], tmp_path)[0] == 1
    assert judged([bad("server", None)], [bad("blobs")], tmp_path)[0] == 1
    assert judged([bad("server", None)], [WELL, *AGED], tmp_path)[0] == 0


def test_what_was_fixed_is_said(tmp_path: Path) -> None:
    status, lines = judged([bad("database"), bad("gone")], [WELL], tmp_path)

    assert status == 0
    assert lines == [
        "was there before, and is no more: database: not well",
        "was there before, and is not asked any more: gone: not well",
    ]


@pytest.mark.parametrize(
    "after", ["", "[]", "null", "Traceback", '{"error": "usage", "message": ""}', '[{"ok": true}]']
)
def test_a_new_version_that_does_not_answer_is_taken_back(tmp_path: Path, after: str) -> None:
    assert judged([WELL], after, tmp_path) == (1, ["NEW: the check does not answer"])


def test_words_of_a_finding_move_no_cursor(tmp_path: Path) -> None:
    _, lines = judged([WELL], [bad("modes", 1, "open: \x1b[2J\nx")], tmp_path)

    assert lines == ["NEW: modes: open: ?[2J?x"]
