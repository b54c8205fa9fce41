"""``tipbox desk check``: whether the vault is whole."""

from __future__ import annotations

from pathlib import Path

import click

from tipbox.commands.desk.vault_options import open_vault, vault_option
from tipbox.commands.terminal import Terminal, json_option, pass_terminal, passphrase_option
from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.whole import check as check_vault


@click.command()
@vault_option
@passphrase_option
@json_option
@pass_terminal
def check(terminal: Terminal, vault: Path, passphrase_file: Path) -> None:
    """Read everything that the vault holds, and say whether it is whole."""
    # Open for writing: an import in the middle of its work has files without records.
    with open_vault(terminal, vault, passphrase_file, write=True) as opened:
        found = check_vault(opened)
    terminal.say(f"{found.records} records opened, {found.tips} tips are whole.")
    for ident in found.damaged:
        terminal.remark(f"the tip {ident.hex()[:12]} is damaged")
    for ident in found.replies:
        terminal.remark(f"the reply {ident.hex()[:12]}, which waits for an outbox or for a report, is damaged")
    terminal.result(
        {
            "damaged": [ident.hex() for ident in found.damaged],
            "records": found.records,
            "replies": [ident.hex() for ident in found.replies],
            "tips": found.tips,
        }
    )
    if damaged := len(found.damaged) + len(found.replies):
        raise VaultDamaged(
            f"checking the vault: {damaged} damaged; a Bundle that brings a tip again puts it back, and so does its "
            "second copy"
        )
