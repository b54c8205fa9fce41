"""What the commands that seal a tip share."""

from __future__ import annotations

from pathlib import Path

import click

from tipbox.commands.terminal import Terminal
from tipbox.source.sealing import SealedTip

_PATH = click.Path(path_type=Path)

keys_option = click.option("--keys", required=True, type=_PATH, metavar="DIR", help="Folder of key manifests.")
to_option = click.option("--to", multiple=True, metavar="ORG", help="An organisation; repeat it. All when not given.")


def say_sealed(terminal: Terminal, tip: SealedTip, *, new: bool) -> None:
    """Print what the source keeps."""
    terminal.say(f"Tip: {tip.id.hex()}")
    for organisation, digits in tip.check_digits.items():
        terminal.say(f"Check digits, to compare with {organisation}: {digits}")
    if new:
        terminal.say(f"Passphrase (shown only now; write it down, it opens the replies): {tip.passphrase}")
    terminal.result({"passphrase": tip.passphrase, "tip": tip.id.hex()})
