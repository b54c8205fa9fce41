"""``tipbox desk custody|forget``: what was done here, and what is done for good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tipbox.commands.desk.vault_options import open_vault, vault_option
from tipbox.commands.terminal import Terminal, json_option, pass_terminal, passphrase_option, unlisted
from tipbox.desk import conversations, tips
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.forget import MAX_REASON
from tipbox.desk.forget import forget as forget_tip
from tipbox.desk.vault.records import CustodyEvent
from tipbox.files.printable import printable

_BEGINS = 80
"""Characters of a tip that are enough to know it by."""


@click.command()
@vault_option
@passphrase_option
@json_option
@pass_terminal
def custody(terminal: Terminal, vault: Path, passphrase_file: Path) -> None:
    """Print the chain of custody, all that was done at this desk, and say whether it was changed."""
    with open_vault(terminal, vault, passphrase_file) as opened:
        found = check_chain(opened)
    for event in found.events:
        change = " -> ".join(filter(None, (event.before, event.after)))
        terminal.say(
            "  ".join(
                filter(
                    None,
                    (
                        f"{event.seq:>6}",
                        f"{event.day} {event.time}",
                        printable(event.who),
                        event.act,
                        event.item.hex()[:12],
                        printable(change),
                        printable(event.reason),
                    ),
                )
            )
        )
    terminal.say(f"Head: {found.head.hex()}")
    terminal.result({"events": [_facts(event) for event in found.events], "head": found.head.hex()})
    if found.problem:
        raise VaultDamaged(f"checking the chain of custody: {found.problem}; compare with the vault's second copy")


def _facts(event: CustodyEvent) -> dict[str, Any]:
    return event.to_json()


@click.command()
@vault_option
@passphrase_option
@click.argument("tip")
@click.option(
    "--reason", metavar="WHY", help="It stays in the chain of custody. Without it, or with -, a terminal asks."
)
@click.option("--yes", is_flag=True, help="Do not ask. Nothing is asked anyway unless both ends are a terminal.")
@json_option
@pass_terminal
def forget(terminal: Terminal, *, vault: Path, passphrase_file: Path, tip: str, reason: str | None, yes: bool) -> None:
    """Remove a tip from the vault for good; the next round of its second copy removes it there."""
    reason = unlisted(reason, "Why", most=MAX_REASON + 1)
    with open_vault(terminal, vault, passphrase_file, write=True) as opened:
        found = tips.find_tip_for_good(opened, tip)
        if terminal.asks and not yes:
            to = conversations.addressee(opened, found)
            terminal.say(f"Received {to.received}.")
            terminal.say(f"It begins: {printable(to.begins, _BEGINS)}" if to.begins else "It has no words.")
            click.confirm("Forget this one?", abort=True)
        gone = forget_tip(opened, found, reason)
    terminal.say(f"Forgot the tip {gone.id.hex()[:12]}. What lies in copies and exports of it is not touched.")
    terminal.result({"envelopes": len(gone.envelopes), "id": gone.id.hex(), "thread": gone.thread.hex()})
