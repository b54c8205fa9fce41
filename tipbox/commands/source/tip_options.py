"""What the source's commands share."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

import click

from tipbox.commands.terminal import Terminal, read_passphrase
from tipbox.errors import BadPassphrase, InputRefused, Malformed, NotFound, PartlyDone, Usage
from tipbox.formats.access_code import AccessCode, Doubt, doubt
from tipbox.formats.envelopes.consent import Consent
from tipbox.source.sealing import SealedTip

_PATH = click.Path(path_type=Path)

keys_option = click.option("--keys", required=True, type=_PATH, metavar="DIR", help="Folder of key manifests.")
consent_option = click.option(
    "--consent", type=_PATH, metavar="FILE", help="What you allow to be done with it: a JSON object."
)
_MAX_CONSENT: Final = 16 * 1024
"""Bytes of a file: more than any that makes sense."""
to_option = click.option("--to", multiple=True, metavar="ORG", help="An organisation; repeat it. All when not given.")


def must_be_shown() -> None:
    """Refuse before anything is sealed or sent when nobody would see the code.

    Raises:
        Usage: stdout is closed.
    """
    if sys.stdout is None or sys.stdout.closed:
        raise Usage("showing the code: stdout is closed, so nobody would see it; nothing was sealed or sent")


def show_code(terminal: Terminal, code: AccessCode) -> None:
    """Show a new code before anything is sent under it: it continues what is cut, and opens the replies."""
    if terminal.json:
        # Not by the terminal, which holds everything back: whoever is cut off needs it now.
        click.echo(f"tipbox: Code (write it down now): {code.digits()}", err=True)
    _say_code(terminal, code, "Code (shown only now; write it down: it continues what is cut, and opens the replies):")


def _say_code(terminal: Terminal, code: AccessCode, heading: str) -> None:
    words = " ".join(code.words(language()))
    terminal.say(heading)
    terminal.say(f"  {code.digits()}")
    if words:
        terminal.say(f"  the same in words, use either: {words}")


def say_sealed(terminal: Terminal, tip: SealedTip, heading: str, *, new: bool, done: str, quiet: bool = False) -> None:
    """Print what the source keeps: on stdout, or on stderr when stdout takes nothing.

    Args:
        terminal: where to.
        tip: what was sealed.
        heading: a line that comes first, for people; none when empty.
        new: whether its code is a new one; a follow-up's is known.
        done: what has been done with it.
        quiet: more of the same message is to come: no result for programs.

    Raises:
        PartlyDone: stdout took nothing, or not all.
    """
    try:
        if heading:
            terminal.say(heading)
        _say_sealed(terminal, tip, new=new, quiet=quiet)
    except OSError as error:
        # The work is done and cannot be taken back; without the code nobody ever reads the answer.
        if new:
            # Not by the terminal: with --json it holds everything back but the error.
            click.echo(f"tipbox: Code (shown only now): {tip.access_code.digits()}", err=True)
        raise PartlyDone(
            f"showing the result: {done}, but stdout takes nothing ({error.strerror or 'it is closed'})"
            + ("; the code stands above, write it down" if new else "")
        ) from error


def _say_sealed(terminal: Terminal, tip: SealedTip, *, new: bool, quiet: bool) -> None:
    terminal.say(f"Tip: {tip.id.hex()}")
    terminal.say(f"{len(tip.sealed.header.slots)} slots, {tip.unverified} not verified")
    for organisation, digits in tip.check_digits.items():
        terminal.say(f"Check digits of {_covered(len(tip.attachments))}, to compare with {organisation}: {digits}")
    if new:
        _say_code(terminal, tip.access_code, "Code (shown only now; write it down, it opens the replies):")
    if not quiet:
        terminal.result({"passphrase": tip.access_code.digits(), "tip": tip.id.hex()})


def _covered(files: int) -> str:
    """What the check digits are of, in the words that a desk shows as well."""
    return "your words" if not files else f"your words and {files} file{'' if files == 1 else 's'}"


def read_consent(path: Path | None) -> Consent | None:
    """What the source allows, out of a JSON file (docs/format.md, 4.3); None when no file is named.

    Raises:
        NotFound, InputRefused: there is no such file, or it is not a consent.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_CONSENT + 1)
    except FileNotFoundError as error:
        raise NotFound("reading the consent: its file is not there; check --consent") from error
    if len(data) > _MAX_CONSENT:
        raise InputRefused("reading the consent: the file is too long; check --consent")
    try:
        return Consent.from_json(json.loads(data))
    except (Malformed, ValueError, RecursionError) as error:
        # from None: nothing of what was written there may come along in a chained error.
        reason = str(error) if isinstance(error, Malformed) else "it is not JSON"
        raise InputRefused(
            f"reading the consent: {reason}; it is an object with ask_me, level, never and until"
        ) from None


def language() -> str:
    """The language (a BCP 47 tag) that the environment asks for; English when it asks for none."""
    asked = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    tag = asked.partition(".")[0].partition("@")[0].replace("_", "-")
    return "en" if tag in ("", "C", "POSIX") else tag


def read_access_code(terminal: Terminal, path: Path) -> AccessCode:
    """The source's access code, digits or words, out of a file.

    Raises:
        BadPassphrase: it is not one; the message says where to look, and repeats nothing.
    """
    text = read_passphrase(terminal, path, several_lines=True).decode(errors="replace")
    try:
        return AccessCode.parse(text)
    except BadPassphrase:
        # from None: nothing of what was typed may come along in a chained error.
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
