"""One run of a command: how it ended, and running it in this process."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tipbox import cli


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, parsed."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The code of its error, which is all that it says on standard error with ``--json``."""
        return str(json.loads(self.err)["error"])


Run = Callable[..., Done]


def on_terminal(arguments: tuple[str | Path, ...], *answers: bytes) -> tuple[int, str]:
    """Run a command of ours whose three streams are a terminal: its exit code and what it showed.

    Each of ``answers`` is typed when the command has asked: what is typed before is dropped.
    """
    return at_terminal((Path(sys.executable).with_name("tipbox"), *arguments), *answers)


def at_terminal(command: Sequence[str | Path], *answers: bytes) -> tuple[int, str]:
    """The same with any program."""
    waiting = list(answers)
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        said, seen = b"", 0
        with suppress(OSError):  # EIO: the last who had it open is gone
            while piece := os.read(ours, 65536):
                said += piece
                if waiting and said[seen:].endswith(b": "):
                    os.write(ours, waiting.pop(0))
                    seen = len(said)
        os.close(ours)
    return process.returncode, said.decode()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `tipbox ARGUMENTS` by its entry point, without a new interpreter."""

    def one(*arguments: object) -> Done:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return one


def in_process(*arguments: str | Path, expect: int | None = 0, timeout: float = 0) -> Done:
    """What `world.tipbox` does, by the same entry point, in this process."""
    del timeout
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.run([str(argument) for argument in arguments])
    assert expect in (None, status), f"tipbox {arguments}: {status}\n{out.getvalue()}\n{err.getvalue()}"
    return Done(status, out.getvalue(), err.getvalue())


@contextmanager
def commands_in_process() -> Iterator[None]:
    """Desks, servers' commands and sources of `world` run here; `server run` stays a process of its own.

    For tests that call many: to start Python for each would take longer than they do.
    """
    from support import world  # which takes Done from here

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "tipbox", in_process)
        yield
