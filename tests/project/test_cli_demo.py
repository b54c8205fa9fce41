"""``tipbox demo``: the main job, then nothing is left of it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from support.clock import same
from tipbox import demo


def command(temp: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tipbox", "demo", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(temp), "LANG": "C.UTF-8"} | same(),
    )


pytestmark = pytest.mark.usefixtures("interruptible")


def test_once_runs_the_main_job_and_cleans_up(tmp_path: Path) -> None:
    with command(tmp_path, "--once") as running:
        out, err = running.communicate(timeout=600)
    assert (running.returncode, err) == (0, "")
    assert out.count("the same to the last bit") == 3
    assert "the server holds ciphertext only" in out
    assert "the server has it no longer" in out
    assert demo.QUESTION in out
    assert "Tip, reply (delivered) and follow-up lie in one thread." in out
    assert list(tmp_path.iterdir()) == []


def test_it_stays_up_until_stopped_and_leaves_no_process(tmp_path: Path) -> None:
    with command(tmp_path) as running:
        assert running.stdout is not None
        address = next(found[1] for line in running.stdout if (found := re.search(r"is at (http://\S+/)", line)))
        with urllib.request.urlopen(address) as page:
            assert page.status == 200
        stopped(running, signal.SIGINT, tmp_path, 0)


def test_stopped_in_the_middle_it_leaves_nothing_either(tmp_path: Path) -> None:
    with command(tmp_path) as running:
        assert running.stdout is not None
        assert any("Stored as" in line for line in running.stdout)
        stopped(running, signal.SIGTERM, tmp_path, 130)


def stopped(running: subprocess.Popen[str], how: signal.Signals, temp: Path, status: int) -> None:
    """Stop it; neither a process nor a file of it is left."""
    children = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(how)
    assert running.wait(60) == status
    assert children
    assert psutil.wait_procs(children, timeout=30)[1] == []
    assert list(temp.iterdir()) == []


def test_a_failed_step_is_one_line_and_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "ORGANISATIONS", (demo.Organisation("Not a name", "x", "KZ", ()),))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(demo.DemoFailed, match="keys init failed"):
        demo.run(lambda _: None, once=True)
    assert list(tmp_path.iterdir()) == []


def test_the_picture_is_a_whole_png() -> None:
    data = demo.picture()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data.endswith(b"IEND" + (0xAE426082).to_bytes(4))
    assert demo.picture() != data
