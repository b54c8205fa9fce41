"""``tipbox desk list|search|note|tag|assign|spam|unread``: all tips at once, and what people say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from tipbox.commands.desk.vault_options import (
    open_vault,
    save_index,
    threads_of,
    tips_argument,
    vault_option,
)
from tipbox.commands.terminal import Terminal, json_option, pass_terminal, passphrase_option, unlisted
from tipbox.desk import sentences
from tipbox.desk.inbox import listing, marks
from tipbox.desk.inbox.detect_language import LANGUAGES
from tipbox.desk.inbox.tip_index import MAX_QUERY, Filter
from tipbox.desk.keys import ceremony
from tipbox.desk.vault.vault import Vault
from tipbox.errors import InputRefused, Usage
from tipbox.files.attachments import read_message
from tipbox.files.printable import printable
from tipbox.formats.base import days

_BEGINS: Final = 80
"""Characters of a tip that are enough to know it by."""
_STATES: Final = ("new", "opened", "answered", "closed")
_FOUND: Final = 50
_MOST: Final = 10_000_000
"""Tips that one command lists, or leaves out: more than any vault holds."""
_TYPED: Final = 1000
"""Characters of a line of input, above what a tag or a name has."""


@click.command("list")
@vault_option
@passphrase_option
@click.option("--state", type=click.Choice(_STATES), help="Only tips in this state.")
@click.option("--tag", metavar="T", help="Only tips of threads with this tag.")
@click.option("--person", metavar="P", help="Only tips of threads that are this person's; '' for those of nobody.")
@click.option("--language", type=click.Choice(LANGUAGES), help="Only tips in this language, as it was detected.")
@click.option("--spam/--no-spam", default=None, help="Only spam, or all but spam.")
@click.option("--limit", type=click.IntRange(1, _MOST), metavar="N", help="At most so many.")
@click.option("--skip", type=click.IntRange(0, _MOST), default=0, metavar="N", help="Leave out so many from the start.")
@json_option
@pass_terminal
def list_(
    terminal: Terminal,
    *,
    vault: Path,
    passphrase_file: Path,
    state: str | None,
    tag: str | None,
    person: str | None,
    language: str | None,
    spam: bool | None,
    limit: int | None,
    skip: int,
) -> None:
    """List the tips that this vault opened, each with its first words."""
    which = Filter(state=state, tag=tag, person=person, language=language, spam=spam)
    with open_vault(terminal, vault, passphrase_file) as opened:
        listed = listing.list_tips(
            opened, ceremony.organisation_of(opened), which, limit=-1 if limit is None else limit, offset=skip
        )
        count = listing.count_tips(opened, which)
    _say(terminal, listed)
    if len(listed) < count:
        terminal.remark(f"these are {len(listed):,} of {count:,} tips; --limit and --skip show others")


@click.command()
@vault_option
@passphrase_option
@click.option(
    "--limit", type=click.IntRange(1, _MOST), default=_FOUND, show_default=True, metavar="N", help="At most so many."
)
@click.argument("words", nargs=-1)
@json_option
@pass_terminal
def search(terminal: Terminal, *, vault: Path, passphrase_file: Path, limit: int, words: tuple[str, ...]) -> None:
    """Find tips by all these words, or what they begin: in text, names of files, notes and tags.

    Words in quotes are a phrase; a SHA-256 finds the tips with that file. Without words a terminal asks for them, and
    else a line of standard input has them: what stands on a command line is kept by shells.
    """
    query = " ".join(words) or unlisted("-", "Search for", most=MAX_QUERY + 1)
    with open_vault(terminal, vault, passphrase_file) as opened:
        found = listing.search_tips(opened, ceremony.organisation_of(opened), query, limit=limit)
    _say(terminal, found)
    if not found:
        terminal.say("Nothing was found.")


def _say(terminal: Terminal, listed: Iterable[Mapping[str, Any]]) -> None:
    for tip in listed:
        files = tip["files"]
        size = sum(file["size"] for file in files)
        kinds = " ".join(sorted({kind["bytes"] or "unknown" for kind in tip["kinds"]}))
        parts = (
            f"{tip['id'][:12]}  {tip['received']}  {tip['state']:8}  thread {tip['thread'][:8]}",
            tip["language"] or "--",
            f"{len(files)} files, {size:,} bytes",
            kinds,
            sentences.missing(tip["missing"]) if tip["missing"] else "",
            sentences.BEFORE_MISSING if tip["before_missing"] else "",
            f"canary {tip['canary']}" if "canary" in tip else "",
            "spam" if tip["spam"] else "",
            f"{tip['same']} others the same" if tip["same"] else "",
            f"[{printable(', '.join(tip['tags']))}]" if tip["tags"] else "",
            f"({printable(tip['person'])})" if tip["person"] else "",
            printable(tip["begins"], _BEGINS),
        )
        terminal.say("  ".join(filter(None, parts)))
    terminal.result(listed)


def _change(
    terminal: Terminal,
    vault: Path,
    passphrase_file: Path,
    tips: tuple[str, ...],
    act: Callable[[Vault, list[bytes]], int],
) -> None:
    """Change the threads of some tips, all or none."""
    with open_vault(terminal, vault, passphrase_file, write=True) as opened:
        threads = threads_of(opened, tips)
        changed = act(opened, threads)
        save_index(opened)
    terminal.say(f"Changed {changed} of {len(threads)} threads.")
    terminal.result({"changed": changed, "threads": [thread.hex() for thread in threads]})


@click.command()
@vault_option
@passphrase_option
@click.option(
    "--message-file", required=True, type=click.Path(path_type=Path), metavar="M", help="The note: UTF-8 text."
)
@tips_argument
@json_option
@pass_terminal
def note(terminal: Terminal, *, vault: Path, passphrase_file: Path, message_file: Path, tips: tuple[str, ...]) -> None:
    """Write a note on the threads of tips; it is never sent."""
    try:
        text = read_message(message_file).decode()
    except UnicodeDecodeError:
        raise InputRefused(f"reading {message_file}: it is not UTF-8 text; save it as UTF-8") from None
    _change(
        terminal,
        vault,
        passphrase_file,
        tips,
        lambda opened, threads: marks.add_note(opened, threads, text, today=days.today()),
    )


@click.command()
@vault_option
@passphrase_option
@click.option("--add", multiple=True, metavar="T", help="Give this tag; may be said several times. - asks.")
@click.option("--remove", multiple=True, metavar="T", help="Take this tag away; may be said several times. - asks.")
@tips_argument
@json_option
@pass_terminal
def tag(
    terminal: Terminal,
    *,
    vault: Path,
    passphrase_file: Path,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    tips: tuple[str, ...],
) -> None:
    """Tag the threads of tips."""
    if not add and not remove:
        raise Usage("tagging: name tags with --add or --remove")
    add = tuple(unlisted(name, "Tag to give", most=_TYPED) for name in add)
    remove = tuple(unlisted(name, "Tag to take away", most=_TYPED) for name in remove)
    _change(terminal, vault, passphrase_file, tips, lambda opened, threads: marks.tag(opened, threads, add, remove))


@click.command()
@vault_option
@passphrase_option
@click.option("--to", required=True, metavar="P", help="The person's name; '' for nobody. - asks.")
@tips_argument
@json_option
@pass_terminal
def assign(terminal: Terminal, *, vault: Path, passphrase_file: Path, to: str, tips: tuple[str, ...]) -> None:
    """Say whose the threads of tips are."""
    person = unlisted(to, "Person", most=_TYPED)
    _change(terminal, vault, passphrase_file, tips, lambda opened, threads: marks.assign(opened, threads, person))


@click.command()
@vault_option
@passphrase_option
@click.option("--not", "no", is_flag=True, help="They are no spam.")
@tips_argument
@json_option
@pass_terminal
def spam(terminal: Terminal, *, vault: Path, passphrase_file: Path, no: bool, tips: tuple[str, ...]) -> None:
    """Say that the threads of tips are spam. They stay, and are acknowledged like all others."""
    _change(terminal, vault, passphrase_file, tips, lambda opened, threads: marks.spam(opened, threads, is_spam=not no))


@click.command()
@vault_option
@passphrase_option
@tips_argument
@json_option
@pass_terminal
def unread(terminal: Terminal, *, vault: Path, passphrase_file: Path, tips: tuple[str, ...]) -> None:
    """Have the tips of these threads listed as new again."""
    _change(terminal, vault, passphrase_file, tips, marks.unread)
