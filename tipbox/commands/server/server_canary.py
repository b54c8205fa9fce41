"""``tipbox server canary``: does the tip line work from end to end? The operator is a source, and needs no HOME."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tipbox.commands.terminal import Terminal, json_option, pass_terminal
from tipbox.errors import PartlyDone, TipboxError
from tipbox.formats.base import days

if TYPE_CHECKING:
    from tipbox.source.send_canary import SentCanary

_PATH = click.Path(path_type=Path)
_RETRY_SECONDS: Final = 600.0
"""Seconds for which a connection that breaks is tried again: a timer runs this, and runs it again tomorrow."""
_FEW: Final = 14


@click.command()
@click.argument("url")
@click.option("--keys", required=True, type=_PATH, metavar="DIR", help="Folder of key manifests.")
@click.option("--lists", required=True, type=_PATH, metavar="DIR", help="Folder of the lists that desks made.")
@click.option("--socks", metavar="HOST:PORT|unix:PATH", help="Tor's SOCKS port.")
@json_option
@pass_terminal
def canary(terminal: Terminal, *, url: str, keys: Path, lists: Path, socks: str | None) -> None:
    """Send each desk one of its canaries: a test tip, sent as every source sends one."""
    from tipbox.files.key_folder import load_folder
    from tipbox.net.http import Connection
    from tipbox.source.send_canary import lists_in, send_canary

    manifests = load_folder(keys)
    sent: list[SentCanary] = []
    failed: list[TipboxError] = []
    for path in lists_in(lists):
        # A connection each: two canaries on one circuit would tell the server that one person sent both.
        try:
            with Connection(url, socks, operation="sending a canary", retry_seconds=_RETRY_SECONDS) as connection:
                sent.append(send_canary(connection, manifests, path, days.today(), terminal.remark))
        except TipboxError as error:  # the others still go: one desk's empty list must not silence all
            failed.append(error)
    for spent in sent:
        terminal.say(f"The server has stored a canary for {spent.organisation}; {spent.remaining} are left.")
        if spent.remaining < _FEW:
            terminal.remark(f"few canaries are left for {spent.organisation}: have its desk make another list")
    listed = {spent.organisation for spent in sent}
    without = sorted({manifest.organisation for manifest in manifests} - listed) if not failed else []
    if without:
        terminal.remark(f"no list, so no canary, for {', '.join(without)}: have their desks make one (desk canary new)")
    for other in failed[:-1]:
        terminal.remark(str(other))
    if not sent:
        raise failed[-1]
    terminal.result([{"left": spent.remaining, "organisation": spent.organisation} for spent in sent])
    if failed:
        raise PartlyDone(str(failed[-1]))
