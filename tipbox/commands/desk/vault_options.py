"""What all commands that work on a vault share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from tipbox.commands.terminal import Terminal
from tipbox.desk.vault.vault import Vault

vault_option = click.option(
    "--vault", required=True, type=click.Path(path_type=Path), metavar="V", help="The vault's folder."
)


def open_vault(terminal: Terminal, path: Path, passphrase: bytes, *, write: bool = False) -> Vault:
    """Open a vault; say so when another command has to end first."""
    return Vault.open(path, passphrase, write=write, waiting=waiting(terminal))


def waiting(terminal: Terminal) -> Callable[[], None]:
    """What says that another command has to end first."""
    return lambda: terminal.remark("waiting for another command on this vault")
