"""``tipbox source``: sending a tip."""

from __future__ import annotations

from pathlib import Path

import click

from tipbox import days
from tipbox.attachments import measure, read_message
from tipbox.commands.files import files_argument, message_option
from tipbox.commands.terminal import Terminal, json_option, pass_terminal, read_passphrase
from tipbox.commands.tip import keys_option, say_sealed, to_option
from tipbox.passphrase import Passphrase
from tipbox.source.line import Line
from tipbox.source.roster import Roster
from tipbox.source.sealing import seal_tip
from tipbox.source.send import compare_keys, send_tip


@click.group()
def source() -> None:
    """Send a sealed tip."""


@source.command()
@click.argument("url")
@keys_option
@click.option("--socks", metavar="HOST:PORT", help="Tor's SOCKS port, 127.0.0.1:9050.")
@to_option
@message_option
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path), metavar="P", help="The Passphrase of a tip to follow up."
)
@files_argument
@json_option
@pass_terminal
def send(
    terminal: Terminal,
    *,
    url: str,
    keys: Path,
    socks: str | None,
    to: tuple[str, ...],
    message_file: Path,
    passphrase_file: Path | None,
    files: tuple[Path, ...],
) -> None:
    """Seal a message and files, send them, and print the Passphrase when the server has stored them."""
    passphrase = None
    if passphrase_file is not None:
        passphrase = Passphrase.parse(read_passphrase(terminal, passphrase_file).decode(errors="replace"))
    roster = Roster.load(keys, to)
    message, attachments = read_message(message_file), measure(files)
    with Line(url, socks) as line:
        roster = compare_keys(line, roster)
        tip = seal_tip(roster, message, attachments, passphrase, days.today())
        with terminal.progress("sending", tip.size) as progress:
            send_tip(line, tip, progress)
    terminal.say("Stored.")
    say_sealed(terminal, tip, new=passphrase is None)
