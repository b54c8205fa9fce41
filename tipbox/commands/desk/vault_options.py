"""What all commands that work on a vault share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from tipbox.commands.terminal import Terminal, unlock_with
from tipbox.desk import second_copy
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.keys import ceremony
from tipbox.desk.tips import find_tip
from tipbox.desk.vault.vault import Vault
from tipbox.formats.base import days

vault_option = click.option(
    "--vault", required=True, type=click.Path(path_type=Path), metavar="V", help="The vault's folder."
)

tips_argument = click.argument("tips", metavar="TIP...", nargs=-1, required=True)
"""Tips by the start of their ids."""


def threads_of(vault: Vault, tips: tuple[str, ...]) -> list[bytes]:
    """The threads (ids) of tips that are named by the start of their ids, each once.

    Raises:
        NotFound: there is none for one of them, or more than one.
    """
    return list(dict.fromkeys(find_tip(vault, tip).thread for tip in tips))


def save_index(vault: Vault) -> None:
    """After a change: seal the index anew when it is far behind. The vault is open for writing."""
    TipIndex.of(vault).save()


def unlock_vault(
    terminal: Terminal, path: Path, passphrase_file: Path, *, write: bool = False, quiet: bool = False
) -> tuple[Vault, bytes]:
    """Open a vault, and say so when another command has to end first.

    It says that the second copy is behind, too, unless it is to be ``quiet`` about that: what copies will not be.

    Returns:
        The open vault and the passphrase that opened it: its key stick and its identity file have the same one.
    """

    def attempt(passphrase: bytes) -> tuple[Vault, bytes]:
        opened = Vault.open(path, passphrase, write=write, waiting=waiting(terminal), upgrading=upgrading)
        return opened, passphrase

    def upgrading() -> None:
        terminal.remark("bringing this vault up to date; with many files it takes minutes, and may be stopped")

    opened, passphrase = unlock_with(terminal, passphrase_file, attempt)
    if not quiet and (known := second_copy.lag(opened)) is not None and known[1]:
        copy, changes = known
        terminal.remark(
            f"the second copy of {copy.day} lacks {changes} changes of this vault: tipbox desk copy --to {copy.path}"
        )
    return opened, passphrase


def open_vault(
    terminal: Terminal, path: Path, passphrase_file: Path, *, write: bool = False, quiet: bool = False
) -> Vault:
    """Open a vault whose passphrase is not needed for anything else."""
    return unlock_vault(terminal, path, passphrase_file, write=write, quiet=quiet)[0]


def say_clock(terminal: Terminal, vault: Vault) -> None:
    """Doubt a date that goes with what is sent: an answer shows it, and an outbox brings the manifest due on it."""
    today = days.today()
    if (last := ceremony.far_from(vault, today)) is not None:
        terminal.remark(
            f"this machine has {today}, and the last Bundle is of {last}: if the date is wrong, set it first"
        )


def waiting(terminal: Terminal) -> Callable[[], None]:
    """What says that another command has to end first."""
    return lambda: terminal.remark("waiting for another command on this vault")
