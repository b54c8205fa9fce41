"""The two commands of a fresh clone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.tree import ROOT, copy_tree


def _without_make() -> dict[str, str]:
    """The environment without what an outer `make` put there."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        (None, "python-of-ours is missing: install Python 3.11 or newer with venv"),
        ('case $2 in *version_info*) exit 1; esac; exec python3 "$@"', "python-of-ours is older"),
        ('case $2 in *ensurepip*) echo Traceback >&2; exit 1; esac; exec python3 "$@"', "python-of-ours has no venv"),
        ('case $1 in -m) mkdir -p .venv/bin; touch .venv/bin/python; exit 1; esac; exec python3 "$@"', ""),
    ],
    ids=["missing", "old", "no venv", "venv fails"],
)
def test_a_missing_prerequisite_is_one_sentence(python: str | None, sentence: str, tmp_path: Path) -> None:
    """What `make demo` says of a Python that is not there or does not do; and nothing half-made stays behind."""
    clone = copy_tree(tmp_path / "clone")
    tools = tmp_path / "tools"
    tools.mkdir()
    if python:
        (tools / "python-of-ours").write_text(f"#!/bin/sh\n{python}\n", encoding="utf-8")
        (tools / "python-of-ours").chmod(0o755)

    done = subprocess.run(
        ("make", "demo", "PYTHON=python-of-ours"),
        cwd=clone,
        env=_without_make() | {"PATH": f"{tools}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0
    assert len(said) == bool(sentence)
    assert sentence in "".join(said)
    assert not (clone / ".venv").exists()


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


def _commands(*words: str) -> list[str]:
    """What `make` would run, a line each."""
    make = shutil.which("make")
    assert make
    done = subprocess.run(
        (make, "--dry-run", "--always-make", *words),
        cwd=ROOT,
        env=_without_make(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_make_test_runs_all() -> None:
    """`make test` ends with pytest over tests/, held against the promises."""
    lines = _commands("test")

    assert "-m pytest tests --promises" in lines[-1]
    assert any(line.startswith("tests/apt.sh") for line in lines)


def test_make_bench_finds_the_benches() -> None:
    """They run where nobody looks every day: at least they are found."""
    *_, command = _commands("bench", "ARGS=--collect-only --quiet")

    found = subprocess.run(("sh", "-c", command), cwd=ROOT, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stderr
    for path in (ROOT / "tests" / "bench").glob("bench_*.py"):
        assert f"tests/bench/{path.name}::test_" in found.stdout
