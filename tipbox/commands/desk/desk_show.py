"""``tipbox desk show``: a tip into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from tipbox.commands.desk.vault_options import open_vault, vault_option, waiting
from tipbox.commands.terminal import Terminal, json_option, pass_terminal, passphrase_option
from tipbox.desk import sentences, tips
from tipbox.desk.joined import joined_tip
from tipbox.desk.keys import ceremony
from tipbox.desk.vault.records import Thread
from tipbox.files.printable import printable
from tipbox.formats.base import days

_PATH = click.Path(path_type=Path)
_LINE: Final = 2000
"""Characters of what a source wrote that are shown on one line."""


@click.command()
@vault_option
@passphrase_option
@click.argument("tip")
@click.option("--out", required=True, type=_PATH, metavar="DIR", help="A folder: made, or empty.")
@json_option
@pass_terminal
def show(terminal: Terminal, vault: Path, passphrase_file: Path, tip: str, out: Path) -> None:
    """Open a tip into a folder: message.txt, tip.json and files/."""
    with open_vault(terminal, vault, passphrase_file) as opened:
        found = tips.find_tip(opened, tip)
        with terminal.progress("opening", sum(file.size for file in joined_tip(opened, found).files)) as progress:
            shown = tips.open_tip(opened, ceremony.organisation_of(opened), found, out, progress)
        known = Thread.find(opened, shown.thread)
        opened.lock(waiting(terminal))  # only now: opening gigabytes keeps no import out
        tips.mark_opened(opened, shown)
    terminal.say(f"Opened {shown.id.hex()[:12]} into {out}: {len(shown.files)} files.")
    terminal.say(f"Received {shown.received}, imported {shown.first.imported}.")
    facts = shown.facts()
    for line in sentences.tip_lines(facts):
        terminal.say(f"{line[:1].upper()}{line[1:]}.")
    terminal.say(f"Consent: {printable(sentences.consent(known, days.today()), _LINE)}.")
    terminal.result({"files": len(shown.files), "id": shown.id.hex(), "out": str(out)} | facts)
