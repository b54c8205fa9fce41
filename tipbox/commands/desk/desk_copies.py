"""``tipbox desk copy|check``: the second copy of the vault, and whether the vault is whole."""

from __future__ import annotations

from pathlib import Path

import click

from tipbox.commands.desk.vault_options import open_vault, vault_option
from tipbox.commands.terminal import Terminal, json_option, pass_terminal, passphrase_option
from tipbox.desk import sentences
from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.second_copy import CopyDone, copy_vault, on_same_disk
from tipbox.desk.vault.vault import REPLIES, TIPS
from tipbox.desk.whole import check as check_vault
from tipbox.errors import PartlyDone
from tipbox.formats.base import days


@click.command()
@vault_option
@passphrase_option
@click.option("--to", required=True, type=click.Path(path_type=Path), metavar="DIR", help="A new folder, or the copy.")
@json_option
@pass_terminal
def copy(terminal: Terminal, vault: Path, passphrase_file: Path, to: Path) -> None:
    """Make or renew the second copy of the vault, and remember it: from then on imports renew it themselves.

    What both hold is acknowledged by the next outbox.
    """
    with open_vault(terminal, vault, passphrase_file, write=True, quiet=True) as opened:
        size = sum(path.stat().st_size for folder in (TIPS, REPLIES) for path in (vault / folder).iterdir())
        with terminal.progress("copying", size) as progress:
            done = copy_vault(opened, to, today=days.today(), every=True, progress=progress)
        together = on_same_disk(opened, to)
    if together:
        terminal.remark(f"{to} is on the same disk as the vault: one loss takes both; plug in another, and copy there")
    terminal.say(f"Copied the vault to {to}: {done.written} files written and read back.")
    terminal.say(f"{done.confirmed} more may be acknowledged: the next outbox does it.")
    say_copy(terminal, done)
    terminal.result(
        {
            "confirmed": done.confirmed,
            "damaged": [ident.hex() for ident in done.damaged],
            "out": str(to),
            "put_back": done.put_back,
            "written": done.written,
        }
    )
    if done.damaged:
        raise PartlyDone(f"copying the vault: {len(done.damaged)} are damaged; see tipbox desk check")


def say_copy(terminal: Terminal, done: CopyDone) -> None:
    """What a copy found besides."""
    if done.put_back:
        terminal.remark(f"{done.put_back} were damaged in the vault, and came back from the copy: check its disk")
    for ident in done.damaged:
        terminal.remark(sentences.lost(ident))


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
