"""The client's own unit tests, run by vitest, count among the project's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

CLIENT = Path(__file__).resolve().parents[2] / "client"


@pytest.mark.real_clock("npm")
def test_client_units(tmp_path: Path) -> None:
    """All of vitest's tests ran and passed; none was skipped or left to be written."""
    report = tmp_path / "report.json"
    done = subprocess.run(
        ("npm", "test", "--silent", "--", "--reporter=default", "--reporter=json", f"--outputFile.json={report}"),
        cwd=CLIENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    summary = json.loads(report.read_text(encoding="utf-8"))
    assert summary["numPassedTests"] == summary["numTotalTests"] > 0
