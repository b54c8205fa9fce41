"""The commands without a new interpreter for each: for tests that call hundreds of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from faults import sending
from support import world
from support.commands import Done
from tipbox import cli


def run(*arguments: str | Path, expect: int | None = 0, timeout: float = 0) -> Done:
    """What `world.tipbox` does, by the same entry point, in this process."""
    del timeout
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.run([str(argument) for argument in arguments])
    assert expect in (None, status), f"tipbox {arguments}: {status}\n{out.getvalue()}\n{err.getvalue()}"
    return Done(status, out.getvalue(), err.getvalue())


@contextmanager
def commands_in_process() -> Iterator[None]:
    """Desks, servers' commands and sources of `world` run here; `server run` stays a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "tipbox", run)
        patch.setattr(sending, "tipbox", run)
        yield
