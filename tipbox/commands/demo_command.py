"""``tipbox demo``: the main job on this machine."""

from __future__ import annotations

import importlib.util

import click

from tipbox.commands.terminal import Terminal, pass_terminal
from tipbox.demo import run


@click.command()
@click.option("--once", is_flag=True, help="Run the main job and exit.")
@pass_terminal
def demo(terminal: Terminal, *, once: bool) -> None:
    """Run the main job end to end on loopback; then keep the source's page up until stopped."""
    # Looked up here: the demo runs programs of their own, whose missing modules would be the demo's own failure.
    for module in ("flask", "httpx"):  # of the extras that its server and its source need
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(name=module)
    run(terminal.say, once=once)
