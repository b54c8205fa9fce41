"""``tipbox desk outbox``: what goes back to the server."""

from __future__ import annotations

from pathlib import Path

import click

from tipbox.commands.desk.vault_options import open_vault, say_clock, vault_option
from tipbox.commands.terminal import Terminal, json_option, keep_inputs, pass_terminal, passphrase_option
from tipbox.desk import outbox, sentences
from tipbox.desk.keys import ceremony
from tipbox.formats.base import days

_PATH = click.Path(path_type=Path)


@click.command("outbox")
@vault_option
@passphrase_option
@click.option("--out", required=True, type=_PATH, metavar="FILE", help="The Bundle to carry to the server.")
@json_option
@pass_terminal
def outbox_(terminal: Terminal, vault: Path, passphrase_file: Path, out: Path) -> None:
    """Write a Bundle: acknowledgements and replies that the server has not reported taken, and the manifest due."""
    keep_inputs(out, passphrase_file)
    with open_vault(terminal, vault, passphrase_file, write=True) as opened:
        say_clock(terminal, opened)
        sent = outbox.write_outbox(opened, ceremony.organisation_of(opened), out, today=days.today())
    generation, index = sent.serial
    terminal.say(
        f"Wrote {out}: outbox {sent.sequence}, {sent.acknowledged} acknowledged, {len(sent.load.replies)} replies, "
        f"key manifest {generation}.{index}."
    )
    if sent.load.waiting:
        terminal.remark(
            f"{sent.load.waiting} replies did not fit: they wait until the server has reported these taken, and go then"
        )
    for damaged in sent.load.damaged:
        terminal.remark(
            f"the reply {damaged.id.hex()[:12]} is damaged in the vault and was left out: write it again, "
            "or restore the vault's second copy"
        )
    for ident in sent.lost:
        terminal.remark(sentences.lost(ident))
    if sent.unconfirmed:
        terminal.remark(f"{sent.unconfirmed} not acknowledged: make a second copy with tipbox desk copy --to DIR")
    terminal.result(
        {
            "acknowledged": sent.acknowledged,
            "covered": sent.covered.isoformat(),
            "lost": [ident.hex() for ident in sent.lost],
            "damaged": [damaged.id.hex() for damaged in sent.load.damaged],
            "out": str(out),
            "replies": len(sent.load.replies),
            "replies_left": sent.load.waiting,
            "sequence": sent.sequence,
            "serial": list(sent.serial),
            "unacknowledged": sent.unconfirmed,
        }
    )
