"""``tipbox seal``: a tip into a file, without any network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from tipbox.commands.source.sealed_files import files_argument, message_option, read_text
from tipbox.commands.source.tip_options import (
    consent_option,
    keys_option,
    must_be_shown,
    read_consent,
    say_sealed,
    to_option,
)
from tipbox.commands.terminal import Terminal, json_option, keep_inputs, pass_terminal
from tipbox.files.attachments import measure
from tipbox.formats.base import days
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, MAX_PIECE_PARTS, PART_SIZE
from tipbox.source.offline import write_tip, write_tip_in_pieces
from tipbox.source.recipients import Addressees
from tipbox.source.sealing import seal_tip

MB: Final = 10**6


@click.command()
@keys_option
@to_option
@message_option
@consent_option
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="X.tip", help="The sealed file.")
@click.option(
    "--pieces",
    type=click.IntRange(1, MAX_PIECE_PARTS * PART_SIZE // MB),
    metavar="MB",
    help="Cut it into pieces of about so many MB, X-MARK-1-of-9.tip and on; each can be carried and sent alone.",
)
@files_argument
@json_option
@pass_terminal
def seal(
    terminal: Terminal,
    *,
    keys: Path,
    to: tuple[str, ...],
    message_file: Path,
    consent: Path | None,
    out: Path,
    pieces: int | None,
    files: tuple[Path, ...],
) -> None:
    """Seal a message and files into a file, and print the access code. Opens no network connection."""
    must_be_shown()  # before sealing: without its code nobody ever reads the answer
    keep_inputs(out, message_file, *([consent] if consent else []), *files, *keys.glob("*.json"))
    addressees = Addressees.load(keys, to, terminal.remark)
    attachments = measure(files)
    allowed = read_consent(consent)
    tip = seal_tip(addressees, read_text(terminal, message_file), attachments, None, days.today(), consent=allowed)
    with terminal.progress("sealing", tip.size) as progress:
        if pieces is None:
            write_tip(tip, out, progress)
            where = f"Sealed into {out}."
        else:
            made = write_tip_in_pieces(tip, out, max(1, pieces * MB // ENVELOPE_PART_SIZE), progress)
            where = (
                f"Sealed into {made[0]}: it is one piece."
                if len(made) == 1
                else f"Sealed into {len(made)} pieces, {made[0]} and on. All of them have to arrive, in any order."
            )
    where += " If it lies on a stick, eject the stick before you pull it out."
    say_sealed(terminal, tip, where, new=True, done="the sealed file is written")
