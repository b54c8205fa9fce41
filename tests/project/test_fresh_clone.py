"""The two commands of a fresh clone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.tree import ROOT, copy_tree

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.timeout(3600)
def test_demo_once(tmp_path: Path, record_size: Callable[[str, int], None]) -> None:
    """`make demo ARGS=--once` sets up, runs the main job and exits, without root's tools at hand."""
    clone = copy_tree(tmp_path / "clone")
    tools = tmp_path / "tools"
    tools.mkdir()
    for forbidden in ("apt", "apt-get", "sudo"):
        (tools / forbidden).write_text("#!/bin/sh\necho called: $0 >&2\nexit 99\n", encoding="utf-8")
        (tools / forbidden).chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "VIRTUAL"))}
    environment["PATH"] = f"{tools}:{environment['PATH']}"

    done = subprocess.run(
        ("make", "demo", "ARGS=--once"),
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "called:" not in done.stderr
    record_size(".venv", sum(file.lstat().st_size for file in (clone / ".venv").rglob("*")))


def test_ci_calls_make_test(tmp_path: Path) -> None:
    """.ci/run starts `make test` at the top of the clone, whatever the current folder."""
    clone = copy_tree(tmp_path / "clone", ".ci")
    tools = tmp_path / "tools"
    tools.mkdir()
    make = tools / "make"
    make.write_text('#!/bin/sh\npwd > made\necho "$@" >> made\n', encoding="utf-8")
    make.chmod(0o755)

    subprocess.run(
        (clone / ".ci" / "run",),
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "CI": "true"},
        check=True,
    )

    assert (clone / "made").read_text(encoding="utf-8").split() == [str(clone), "test"]


def test_make_test_runs_all() -> None:
    """`make test` ends with pytest over tests/, held against the promises."""
    make = shutil.which("make")
    assert make
    done = subprocess.run(
        (make, "--dry-run", "--always-make", "test"),
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))},
        capture_output=True,
        text=True,
        check=True,
    )

    lines = done.stdout.splitlines()
    assert "-m pytest tests --promises" in lines[-1]
    assert any(line.startswith("tests/apt.sh") for line in lines)
