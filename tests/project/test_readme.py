"""The commands of README's first tip, as somebody types them: in an empty folder, in one shell, to the last line."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.clock import same
from support.loopback import free_port

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What a reader puts in: where tipbox is, and a port that is free.
PATH_LINE = "export PATH=/path/to/tipbox/.venv/bin:$PATH"
SERVER_LINE = "server=127.0.0.1:8080"


def commands() -> str:
    """The shell blocks of "The first tip by hand", joined."""
    section = README.split("\n## The first tip by hand\n")[1].split("\n## ")[0]
    return "".join(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Type the script into a shell that stops at the first command that fails; what it left running is ended."""
    # wait: the server has ended when the shell ends.
    clean_up = "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT"
    shell = ("bash", "-e", "-u", "-o", "pipefail", "-c", f"{clean_up}\n{script}")
    return subprocess.run(
        shell,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"} | same(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.timeout(700)
def test_first_tip_by_hand(tmp_path: Path) -> None:
    """Every line works as it is written, and a reply has come back to the source at the end."""
    script = commands()
    assert script.count(PATH_LINE) == 1
    assert script.count(SERVER_LINE) == 1
    port = free_port()
    script = script.replace(PATH_LINE, f"export PATH={Path(sys.executable).parent}:$PATH")
    script = script.replace(SERVER_LINE, f"server=127.0.0.1:{port}")

    done = run(tmp_path, script)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    opened = tmp_path / "opened"
    assert (opened / "message.txt").read_text() == "What I saw\n"
    (photo,) = (opened / "files").iterdir()
    assert photo.name == "001-photo.png"
    assert photo.read_bytes() == (tmp_path / "photo.png").read_bytes()
    assert photo.read_bytes().startswith(b"\x89PNG")
    assert json.loads((opened / "tip.json").read_bytes())
    assert re.fullmatch(r" +\d{6}( \d{6}){5}\n", (tmp_path / "code").read_text())
    assert "When was this?" in done.stdout.split("usb/back.bundle")[-1]
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0, "the server still runs"


def test_a_command_that_fails_is_seen(tmp_path: Path) -> None:
    """The shell of the test goes no further than a failing command, also in a pipe or in a list."""
    assert run(tmp_path, "false | cat\ntouch after\n").returncode == 1
    assert run(tmp_path, "for o in a b; do\n  false\ndone\ntouch after\n").returncode == 1
    assert not (tmp_path / "after").exists()
