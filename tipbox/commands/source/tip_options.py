"""What the source's commands share."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tipbox.commands.terminal import Terminal, read_passphrase
from tipbox.errors import BadPassphrase
from tipbox.formats.access_code import AccessCode, Doubt, doubt
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
        digits, words = tip.passphrase.digits(), " ".join(tip.passphrase.words(language()))
        terminal.say("Code (shown only now; write it down, it opens the replies):")
        terminal.say(f"  {digits}")
        if words:
            terminal.say(f"  the same in words, use either: {words}")
    terminal.result({"passphrase": tip.passphrase.digits(), "tip": tip.id.hex()})


def language() -> str:
    """The language (a BCP 47 tag) that the environment asks for; English when it asks for none."""
    asked = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    tag = asked.partition(".")[0].partition("@")[0].replace("_", "-")
    return "en" if tag in ("", "C", "POSIX") else tag


def read_source_passphrase(terminal: Terminal, path: Path) -> AccessCode:
    """The source's access code, digits or words, out of a file.

    Raises:
        BadPassphrase: it is none; the message says where to look, and repeats nothing.
    """
    text = read_passphrase(terminal, path).decode(errors="replace")
    try:
        return AccessCode.parse(text)
    except BadPassphrase:
        raise BadPassphrase(f"reading the code: {_where(doubt(text))}") from None


def _where(found: Doubt) -> str:
    piece = "word" if found.unit == "words" else "group"
    if found.count != found.expected:
        said = f"it has {found.count} {piece}s and should have {found.expected}"
    elif found.wrong:
        said = "it has a typing error"
    else:
        return f"it has a typing error that leaves every {piece} possible; compare all with what you wrote down"
    numbers = ", ".join(str(at + 1) for at in found.wrong)
    return f"{said}; look at {piece} {numbers}" if numbers else f"{said}; compare with what you wrote down"
