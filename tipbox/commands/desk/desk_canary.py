"""``tipbox desk canary``: lists for the operator, and which of them arrived."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from tipbox.commands.desk.vault_options import open_vault, vault_option
from tipbox.commands.terminal import Terminal, json_option, pass_terminal, passphrase_option
from tipbox.desk import canaries
from tipbox.desk.keys import ceremony
from tipbox.errors import Usage
from tipbox.files.durable import write_file
from tipbox.formats.base.limits import MAX_CANARIES
from tipbox.formats.canary_list import SUFFIX

_SHOWN: Final = 12


@click.command()
@vault_option
@passphrase_option
@click.argument("operation", metavar="new|list", type=click.Choice(("new", "list")))
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help=f"new: where to write it, *{SUFFIX}.")
@click.option(
    "--count", type=click.IntRange(1, MAX_CANARIES), default=canaries.A_YEAR, show_default=True, help="new: how many."
)
@json_option
@pass_terminal
def canary(
    terminal: Terminal, *, vault: Path, passphrase_file: Path, operation: str, out: Path | None, count: int
) -> None:
    """Know that the tip line works from end to end: test tips that only this desk tells from others.

    new: make a list for the server's operator. list: which came, which are missing, and how many are to come.
    """
    if operation == "list":
        _list(terminal, vault, passphrase_file)
    elif out is None or out.suffix != SUFFIX:
        raise Usage(f"making a list of canaries: name the file to write with --out; its name ends in {SUFFIX}")
    elif out.exists():
        raise Usage("making a list of canaries: --out is there already; give another name, an old list stays good")
    else:
        _new(terminal, vault, passphrase_file, out, count)


def _new(terminal: Terminal, vault: Path, passphrase_file: Path, out: Path, count: int) -> None:
    with open_vault(terminal, vault, passphrase_file, write=True) as opened:
        # Remembered before it is written out: a token that the desk does not know would be a tip to it.
        made = canaries.new_list(opened, ceremony.organisation_of(opened), count)
        write_file(out, made.encode())
    terminal.say(
        f"Wrote {out}: {count} canaries. Bring it to the operator; whoever else has it can make you think that "
        "all is well when it is not."
    )
    terminal.result({"count": count, "out": str(out)})


def _list(terminal: Terminal, vault: Path, passphrase_file: Path) -> None:
    with open_vault(terminal, vault, passphrase_file) as opened:
        state = canaries.state(opened)
    for arrival in state["came"][-_SHOWN:]:
        terminal.say(f"canary {arrival['number']}  came {arrival['day'] or 'some day'}  {arrival['tip'][:12]}")
    if not state["came"]:
        terminal.say("None came yet.")
    if missing := state["missing"]:
        numbers = ", ".join(map(str, missing[-_SHOWN:]))
        terminal.say(f"{len(missing)} missing that were sent before others that came: {numbers}. Ask the operator.")
    terminal.say(f"{state['to_come']} to come.")
    terminal.result(state)
