"""The peer: OnionShare's receive mode, which takes texts over HTTP and neither seals them nor keeps a database.

It comes from PyPI, at one version, into a folder of its own under `build/`; where that fails there is no peer. It runs
with `--local-only`, so no Tor is started; since it looks for the program all the same, it finds one that does nothing.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.loads import run_program
from bench.text import TEXT_OF_A_TIP

VERSION: Final = "2.7"
FOLDER: Final = Path(__file__).parents[2] / "build" / "peers" / f"onionshare-{VERSION}"
INSTALL_SECONDS: Final = 600
START_SECONDS: Final = 60
_FORM: Final = b'--tipbox\r\nContent-Disposition: form-data; name="text"\r\n\r\n%b\r\n--tipbox--\r\n'


@dataclass(frozen=True)
class PeerRun:
    """What sources in a closed loop saw."""

    rate: float
    """Texts per second."""
    tips: int


def install() -> Path | None:
    """The program, installed if it was not; None when that is not possible here."""
    program = FOLDER / "bin" / "onionshare-cli"
    if program.exists():
        return program
    steps = (
        (sys.executable, "-m", "venv", FOLDER),
        (FOLDER / "bin/pip", "--disable-pip-version-check", "install", "-q", f"onionshare-cli=={VERSION}"),
    )
    for step in steps:
        try:
            subprocess.run(step, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (OSError, subprocess.SubprocessError):
            return None
    return program if program.exists() else None


@contextmanager
def _running(program: Path) -> Iterator[tuple[int, Path]]:
    """OnionShare in receive mode; its port on 127.0.0.1, and the folder that it stores into."""
    with TemporaryDirectory(prefix="onionshare-") as name:
        folder = Path(name)
        stub = folder / "bin" / "tor"
        stub.parent.mkdir()
        stub.write_text("#!/bin/sh\nexit 1\n")
        stub.chmod(0o755)
        (folder / "data").mkdir()
        log = folder / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                (program, "--receive", "--local-only", "--public", "--data-dir", folder / "data"),
                stdout=out,
                stderr=out,
                env={"HOME": name, "PATH": f"{stub.parent}:/usr/bin:/bin", "PYTHONUNBUFFERED": "1"},
            )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text(encoding="utf-8"))):
                assert process.poll() is None, "OnionShare ended"
                assert time.monotonic() < deadline, "OnionShare did not start"
                time.sleep(0.05)
            yield int(found[1]), folder / "data"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(program: Path, *, sources: int, seconds: float) -> PeerRun:
    """Let sources post the text of a tip for some seconds, each over a new connection (the peer keeps none)."""
    with _running(program) as (port, data), TemporaryDirectory(prefix="form-") as folder:
        form = Path(folder) / "form"
        form.write_bytes(_FORM % TEXT_OF_A_TIP)
        options = ("--form", "--fresh", "--sources", str(sources), "--seconds", str(seconds))
        report = run_program(f"127.0.0.1:{port}", form, options)
        stored = sum(path.read_bytes() == TEXT_OF_A_TIP for path in data.rglob("*.txt"))
    assert stored == len(report["times"]), f"OnionShare answered {len(report['times'])} and stored {stored}"
    return PeerRun(len(report["times"]) / report["seconds"], len(report["times"]))
