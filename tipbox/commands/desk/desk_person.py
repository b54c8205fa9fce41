"""``tipbox desk person``: who opens the vault, each with a passphrase of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from tipbox.commands.desk.desk_copies import say_copy
from tipbox.commands.desk.vault_options import open_vault, save_index, unlock_vault, vault_option
from tipbox.commands.terminal import (
    ASK,
    Terminal,
    json_option,
    pass_terminal,
    passphrase_option,
    read_passphrase,
    unlisted,
)
from tipbox.desk import people
from tipbox.desk.inbox.marks import Marks
from tipbox.desk.keys import identity_file
from tipbox.desk.second_copy import copy_again, lag
from tipbox.desk.vault.vault import REPLIES, TIPS, Vault
from tipbox.errors import TipboxError, Usage
from tipbox.files.printable import printable
from tipbox.formats.base import days

SHORT: Final = 16
"""Bytes; a passphrase of fewer falls to whoever seizes the vault and tries, whatever each try costs."""
_TYPED: Final = 1000

_new_option = click.option(
    "--new-passphrase-file",
    "new",
    type=click.Path(path_type=Path),
    default=ASK,
    metavar="F",
    help="File with the new passphrase: one line. Without it, or with -, a terminal asks.",
)


@click.group()
def person() -> None:
    """Say who opens the vault: each person with a passphrase of their own.

    Whoever opens the vault has all of it. Roles say what was agreed on, and keep nobody from anything.
    """


@person.command("list")
@vault_option
@passphrase_option
@json_option
@pass_terminal
def list_(terminal: Terminal, vault: Path, passphrase_file: Path) -> None:
    """List the people, with the threads that are theirs and what they did in the last 30 days."""
    with open_vault(terminal, vault, passphrase_file) as opened:
        found = people.staff(opened, today=days.today())
    for one in found:
        parts = (
            printable(one.person.name),
            one.person.role,
            f"since {one.person.since}",
            "you" if one.is_me else "",
            f"removed {one.person.removed}" if one.person.removed else "",
            f"{one.threads} threads",
            f"{one.acts} acts",
            f"key {one.person.fingerprint}",
        )
        terminal.say("  ".join(filter(None, parts)))
    terminal.result([_facts(one) for one in found])


def _facts(one: people.Staff) -> dict[str, Any]:
    return {
        "acts": one.acts,
        "id": one.person.id.hex(),
        "key": one.person.fingerprint,
        "name": one.person.name,
        "removed": one.person.removed.isoformat() if one.person.removed else None,
        "role": one.person.role,
        "since": one.person.since.isoformat(),
        "threads": one.threads,
        "you": one.is_me,
    }


@person.command()
@vault_option
@passphrase_option
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(people.ROLES),
    default="caseworker",
    show_default=True,
    help="What was agreed on; it keeps nobody from anything.",
)
@_new_option
@json_option
@pass_terminal
def add(terminal: Terminal, *, vault: Path, passphrase_file: Path, name: str, role: str, new: Path) -> None:
    """Let somebody in. They type their own passphrase, unseen; or --new-passphrase-file has it.

    With the second person, the key stick is locked anew, so that each can use it: plug it in.
    """
    name = unlisted(name, "Name", most=_TYPED)
    opened, own = unlock_vault(terminal, vault, passphrase_file, write=True)
    with opened:
        passphrase = _new_passphrase(terminal, new)
        added = people.add(opened, name, passphrase, role, own=own, today=days.today())
    terminal.say(f"Added {printable(added.name)}, {added.role}, key {added.fingerprint}.")
    terminal.result({"id": added.id.hex(), "key": added.fingerprint, "name": added.name, "role": added.role})


def _new_passphrase(terminal: Terminal, path: Path) -> bytes:
    if path == ASK:
        terminal.remark("the new passphrase, twice:")
    passphrase = read_passphrase(terminal, path, twice=True)
    if len(passphrase) < SHORT:
        terminal.remark("this passphrase is short, and a seized vault can be tried for years: take six words by dice")
    return passphrase


@person.command()
@vault_option
@passphrase_option
@click.argument("name")
@click.argument("new_name")
@json_option
@pass_terminal
def rename(terminal: Terminal, *, vault: Path, passphrase_file: Path, name: str, new_name: str) -> None:
    """Call somebody otherwise; their threads stay theirs."""
    name, new_name = (unlisted(word, what, most=_TYPED) for word, what in ((name, "Name"), (new_name, "New name")))
    with open_vault(terminal, vault, passphrase_file, write=True) as opened:
        renamed = people.rename(opened, name, new_name)
        save_index(opened)
    terminal.say(f"Renamed: {printable(renamed.name)}.")
    terminal.result({"id": renamed.id.hex(), "name": renamed.name})


@person.command()
@vault_option
@passphrase_option
@_new_option
@json_option
@pass_terminal
def passphrase(terminal: Terminal, *, vault: Path, passphrase_file: Path, new: Path) -> None:
    """Give yourself another passphrase; the one before opens the vault no longer.

    An identity file beside the vault that it opens gets the new one, too.
    """
    opened, own = unlock_vault(terminal, vault, passphrase_file, write=True)
    with opened:
        made = _new_passphrase(terminal, new)
        people.set_passphrase(opened, made, own=own)
        known = lag(opened)
    identity = _relock_identity(identity_file.identity_path(vault), own, made)
    terminal.say("The passphrase is changed.")
    if identity:
        terminal.say(f"So is that of the identity file {identity}.")
    if known is not None:
        terminal.remark(f"the second copy opens with the one before until tipbox desk copy --to {known[0].path}")
    terminal.result({"identity": str(identity) if identity else None})


def _relock_identity(path: Path, own: bytes, made: bytes) -> Path | None:
    try:
        key = identity_file.load(path, own)
    except (TipboxError, OSError):  # away, as it should be, or of somebody else
        return None
    identity_file.create(path, made, key)
    return path


@person.command()
@vault_option
@passphrase_option
@click.argument("name")
@click.option(
    "--reason", metavar="WHY", help="It stays in the chain of custody. Without it, or with -, a terminal asks."
)
@click.option("--yes", is_flag=True, help="Do not ask. Nothing is asked anyway unless both ends are a terminal.")
@click.option("--anyway", is_flag=True, help="Although the chain of custody or a record of a person was changed.")
@json_option
@pass_terminal
def remove(
    terminal: Terminal, *, vault: Path, passphrase_file: Path, name: str, reason: str | None, yes: bool, anyway: bool
) -> None:
    """Shut somebody out: the vault is sealed anew with another key, for all others."""
    name = unlisted(name, "Name", most=_TYPED)
    reason = unlisted(reason, "Why", most=people.MAX_REASON + 1)
    if not reason.strip():
        raise Usage("removing a person: say why with --reason; it stays in the chain of custody")
    with open_vault(terminal, vault, passphrase_file, write=True, quiet=True) as opened:
        found = people.find(opened, name)
        if terminal.asks and not yes:
            stay = ", ".join(printable(one.name) for one in people.everybody(opened) if one.id != found.id)
            terminal.say(f"From then on it opens for: {stay}.")
            click.confirm(f"Remove {printable(found.name)}?", abort=True)
        size = sum(path.stat().st_size for folder in (TIPS, REPLIES) for path in (vault / folder).iterdir())
        with terminal.progress("sealing", size) as progress:
            gone = people.remove(opened, name, reason, today=days.today(), anyway=anyway, progress=progress)
        left = [one.name for one in people.everybody(opened)]
        threads = sum(marks.person == gone.name for marks in Marks.all(opened))
        copied = _renew_copy(terminal, opened)
    terminal.say(f"Removed {printable(gone.name)}. The vault is sealed anew, for {', '.join(map(printable, left))}.")
    for line in what_stays_open(copied=copied):
        terminal.remark(line)
    if threads:
        terminal.remark(f"{threads} threads are still {printable(gone.name)}'s: give them to others")
    terminal.result({"copied": copied, "id": gone.id.hex(), "name": gone.name, "people": left, "threads": threads})


def what_stays_open(*, copied: bool | None) -> list[str]:
    """What somebody who was removed can still open, a line each; ``copied``: None when there is no second copy."""
    lines = [
        "what they copied before opens for ever: a copy of the vault, with all that was in it, and whatever they read",
        "if they may have a copy of the key stick, run tipbox keys rotate: else tips to the keys on it open for them",
        "whoever has copied the vault can answer its sources in your name while the mailbox of a tip is in use",
    ]
    if copied is False:
        lines.insert(0, "the second copy was not plugged in: it opens for them until tipbox desk copy has renewed it")
    return lines


def _renew_copy(terminal: Terminal, vault: Vault) -> bool | None:
    """Seal the second copy anew, too; None when there is none."""
    if lag(vault) is None:
        return None
    try:
        done = copy_again(vault, today=days.today())
    except (TipboxError, OSError) as error:
        why = str(error) if isinstance(error, TipboxError) else f"copying the vault: {error.strerror}"
        terminal.remark(f"the second copy was not renewed: {why}")
        return False
    if done is not None:
        say_copy(terminal, done)
    return True
