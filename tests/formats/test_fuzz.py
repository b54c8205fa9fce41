"""Each fuzz target runs, on its seeds and a little further; and what is a finding is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "fuzz"
TARGETS = sorted(FUZZ.glob("fuzz_*.py"))


def fuzz(target: Path, folder: Path, runs: int) -> subprocess.CompletedProcess[str]:
    corpus = folder / "corpus"
    corpus.mkdir()
    arguments = (f"-runs={runs}", "-seed=1", f"-artifact_prefix={folder}/", str(corpus))
    return subprocess.run(
        (sys.executable, target, *arguments), capture_output=True, text=True, errors="replace", check=False
    )


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.stem)
def test_target_finds_nothing_in_a_few_runs(target: Path, tmp_path: Path) -> None:
    done = fuzz(target, tmp_path, 20 if target.stem == "fuzz_locked" else 300)

    assert done.returncode == 0, done.stderr
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_there_is_a_target_for_each_decoder() -> None:
    names = {path.stem.removeprefix("fuzz_") for path in TARGETS}

    assert names == {
        "acknowledgement", "backup", "body", "bundle", "bundle_header", "canary", "canonical", "capsule", "consent",
        "envelope", "form", "header", "letter", "locked", "mailbox", "manifest", "passphrase", "piece", "qr",
        "reply", "report", "site", "trailer",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raised", "found"),
    [("ValueError", True), ("RecursionError", True), ("MemoryError", True), ("Malformed", False)],
)
def test_everything_but_a_tipbox_error_is_a_finding(raised: str, found: bool, tmp_path: Path) -> None:  # noqa: FBT001
    target = tmp_path / "fuzz_broken.py"
    target.write_text(
        f"import sys\nsys.path.insert(0, {str(FUZZ)!r})\nfrom harness import run\nfrom tipbox.errors import Malformed\n"
        f"def target(data):\n    raise {raised}\nrun(target, [b'seed'])\n",
        encoding="utf-8",
    )
    done = fuzz(target, tmp_path, 10)

    assert (done.returncode != 0) == found, done.stderr
    assert any(path.name.startswith("crash-") for path in tmp_path.iterdir()) == found
