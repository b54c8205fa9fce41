"""``tipbox desk serve``: the desk in a browser, on a machine without a network."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from tipbox.commands.desk.vault_options import vault_option
from tipbox.commands.terminal import Terminal, pass_terminal
from tipbox.desk.vault.vault import KEY_FILE
from tipbox.errors import NotFound, NotInstalled

LOCKS_AFTER: Final = 10
"""Minutes without a person until the pages lock."""
_A_DAY: Final = 24 * 60


@click.command()
@vault_option
@click.option(
    "--browser", metavar="PROGRAM", help="The browser to start; without it Firefox or Chromium is looked for."
)
@click.option(
    "--lock-after",
    type=click.IntRange(1, _A_DAY),
    default=LOCKS_AFTER,
    show_default=True,
    metavar="N",
    help="Lock after so many minutes in which nobody did anything.",
)
@click.option("--language", metavar="L", help="The language of the pages; without it that of this machine.")
@pass_terminal
def serve(terminal: Terminal, *, vault: Path, browser: str | None, lock_after: int, language: str | None) -> None:
    """Show the desk in a browser of its own; neither it nor these pages reach any network.

    The page asks for the passphrase. Closing the window ends the command.
    """
    if not (vault / KEY_FILE).is_file():
        raise NotFound(f"starting the pages: there is no vault in {vault}; check --vault")
    if find_spec("flask") is None:
        raise NotInstalled("starting the pages: they are not installed here; pip install 'tipbox[desk]'")
    from tipbox.desk.pages.browser_window import find_browser
    from tipbox.desk.pages.keeper import Settings, keep

    found = find_browser(browser)
    wanted = language or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG", "")
    terminal.say("A window opens. Close it to end; Ctrl+L locks at once, and a new window opens.")
    keep(Settings(vault.absolute(), lock_after, wanted), found)
