"""How pytest ends for a few tests that are made to be seen to fail."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support.tree import ROOT


def outcomes(folder: Path, tests: str, *options: str) -> tuple[dict[str, str], str]:
    """Run the text of a test file in ``folder``, with pytest's ``options``: each test's outcome, and the output."""
    file = folder / "test_these.py"
    file.write_text(tests, encoding="utf-8")
    done = subprocess.run(
        (
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", f"pythonpath={ROOT / 'tests'}"),
            *("--rootdir", str(folder), "-rA", *options, str(file)),
        ),
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        check=False,
    )
    return {test: outcome for outcome, test in re.findall(r"(?m)^([A-Z]+) \S+::(test_\w+)", done.stdout)}, done.stdout
