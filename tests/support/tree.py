"""A copy of the tree as a fresh clone has it: the tracked files and no build products."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked_files(under: str = ".") -> list[str]:
    """The paths that git tracks, relative to the root, in git's order."""
    # The tree may belong to another user than the one who tests it.
    done = subprocess.run(
        ("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--", under),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in done.stdout.split("\0") if path and (ROOT / path).exists()]


def copy_tree(to: Path, under: str = ".") -> Path:
    """Copy the tracked files below `under` into the folder `to`, and give it back."""
    for path in tracked_files(under):
        target = to / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target, follow_symlinks=False)
    return to
