"""``tipbox desk reply|unsend|thread|close|server``: the talk with a source, and the server that carries it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from tipbox.commands.desk.vault_options import (
    open_vault,
    save_index,
    say_clock,
    threads_of,
    tips_argument,
    vault_option,
    waiting,
)
from tipbox.commands.source.sealed_files import files_argument
from tipbox.commands.terminal import Terminal, json_option, pass_terminal, passphrase_option
from tipbox.desk import conversations, pinned_server, replies, sentences, tips, unsent
from tipbox.desk.conversations import Addressee
from tipbox.desk.joined import joined_tips
from tipbox.desk.keys import ceremony
from tipbox.desk.vault.records import TRIED_AGAIN, Draft, Reply, Thread
from tipbox.errors import InputRefused, Usage
from tipbox.files.attachments import Attachment, measure, read_message
from tipbox.files.printable import printable
from tipbox.formats.base import days

_LINE: Final = 2000
"""Characters of a line of a message that are shown; desk show writes it whole."""
_BEGINS: Final = 80
"""Characters of a tip that are enough to know it by."""
_WHY: Final = {
    "full": "the source's mailbox has no room",
    "version": "the server is too old to keep mailboxes",
    "malformed": "the server calls it malformed",
}


def say_replies(terminal: Terminal, decided: Iterable[Reply]) -> None:
    """What a server's report says of replies."""
    for reply in decided:
        name = f"the reply {reply.id.hex()[:12]} to {reply.tip.hex()[:12]}"
        if reply.state == "delivered":
            terminal.say(f"{name[0].upper()}{name[1:]} is delivered")
            continue
        then = (
            "it goes again with the next outbox" if reply.code in TRIED_AGAIN else "it will not go again: write another"
        )
        terminal.remark(f"{name} was refused: {_WHY.get(reply.code, printable(reply.code))}; {then}")


def _read_answer(path: Path) -> bytes:
    """The bytes of an answer.

    Raises:
        InputRefused: they are not UTF-8. A source may be in a hurry, and is only warned; an answer can wait.
        NotFound, LimitExceeded: there is none, or it is too long.
    """
    message = read_message(path)
    try:
        message.decode()
    except UnicodeDecodeError:
        raise InputRefused(
            f"reading {path}: it is not UTF-8 text, so the source would see other characters than you wrote, and an "
            "answer cannot be taken back; save it as UTF-8 (or convert it with iconv)"
        ) from None
    return message


@click.command()
@vault_option
@passphrase_option
@click.argument("tip")
@click.option("--message-file", type=click.Path(path_type=Path), metavar="M", help="The message: UTF-8 text.")
@click.option("--draft", "from_draft", is_flag=True, help="In place of a message: the words of a reply cut short.")
@click.option("--yes", is_flag=True, help="Do not ask. Nothing is asked anyway unless both ends are a terminal.")
@files_argument
@json_option
@pass_terminal
def reply(
    terminal: Terminal,
    *,
    vault: Path,
    passphrase_file: Path,
    tip: str,
    message_file: Path | None,
    from_draft: bool,
    yes: bool,
    files: tuple[Path, ...],
) -> None:
    """Seal a reply to the source of a tip; the next outbox carries it."""
    if (message_file is None) is not from_draft:
        raise Usage("replying: name the message with --message-file, or say --draft, and not both")
    message = None if message_file is None else _read_answer(message_file)
    attachments = measure(files)
    with open_vault(terminal, vault, passphrase_file, write=True) as opened:
        found = tips.find_tip_for_good(opened, tip)
        to = conversations.addressee(opened, found)
        begins = to.begins
        if message is None:
            message = _words_of(to, attachments)
        else:
            _say_drafts(terminal, to.drafts, found.id, but=message)
        say_clock(terminal, opened)
        if terminal.asks and not yes:
            terminal.say(f"Received {to.received}, language {printable(to.language) or 'not named'}.")
            terminal.say(f"It begins: {printable(begins, _BEGINS)}" if begins else "It has no words.")
            if from_draft:
                terminal.say(f"The words that go, of {to.drafts[0].day}:")
                _say_words(terminal, message)
            # What an outbox took cannot be taken back, and two ids look alike.
            click.confirm("Answer this one?", abort=True)
        with terminal.progress("sealing", sum(attachment.entry.size for attachment in attachments)) as progress:
            made = replies.queue_reply(opened, found, message, attachments, today=days.today(), progress=progress)
    terminal.say(
        f"Sealed the reply {made.id.hex()[:12]} to {made.tip.hex()[:12]}, which begins: {printable(begins, _BEGINS)}"
        if begins
        else f"Sealed the reply {made.id.hex()[:12]} to {made.tip.hex()[:12]}, which has no words."
    )
    terminal.say(f"The next outbox carries it; until then tipbox desk unsend {made.id.hex()[:12]} takes it back.")
    terminal.result(
        {
            "begins": begins[:_BEGINS],
            "id": made.id.hex(),
            "language": to.language,
            "received": to.received.isoformat(),
            "size": made.size,
            "state": made.state,
            "thread": made.thread.hex(),
            "tip": made.tip.hex(),
        }
    )


def _words_of(to: Addressee, attachments: Iterable[Attachment]) -> bytes:
    """The words of the only draft.

    Raises:
        Usage: there is none, or more than one, or its files were not named again.
    """
    if not to.drafts:
        raise Usage("replying: no reply to this thread was cut short; name the message with --message-file")
    if len(to.drafts) > 1:  # nobody has seen which of them would go
        raise Usage(
            f"replying: {len(to.drafts)} replies to this thread were cut short; read them with tipbox desk thread, and "
            "drop all but one with tipbox desk unsend"
        )
    (draft,) = to.drafts
    given = sorted((attachment.entry.name, attachment.entry.size) for attachment in attachments)
    if given != sorted((file.name, file.size) for file in draft.files):
        were = ", ".join(f"{printable(file.name)} ({file.size:,} bytes)" for file in draft.files)
        raise Usage(f"replying: the files that were to go with these words are {were or 'none'}; name just these")
    return draft.message


def _say_drafts(terminal: Terminal, drafts: Iterable[Draft], tip: bytes, *, but: bytes | None = None) -> None:
    """Offer what was cut short, except for the words that are being sent."""
    for draft in drafts:
        if draft.message != but:
            terminal.remark(
                f"a reply to this thread was cut short on {draft.day}, and its words are kept: tipbox desk reply "
                f"{tip.hex()[:12]} --draft sends them, tipbox desk unsend {draft.key.hex()[:12]} drops them"
            )
            terminal.say(f"They begin: {printable(' '.join(draft.message.decode(errors='replace').split()), _BEGINS)}")


def _say_words(terminal: Terminal, message: bytes) -> None:
    for line in message.decode(errors="replace").splitlines():
        terminal.say(f"    {printable(line, _LINE)}")


@click.command()
@vault_option
@passphrase_option
@click.argument("reply_", metavar="REPLY")
@json_option
@pass_terminal
def unsend(terminal: Terminal, vault: Path, passphrase_file: Path, reply_: str) -> None:
    """Take back a reply that no outbox has taken yet, or drop the words of one that was cut short."""
    with open_vault(terminal, vault, passphrase_file, write=True) as opened:
        done = unsent.take_back(opened, reply_)
    what = "the draft" if isinstance(done, Draft) else "the reply"
    terminal.say(f"Took back {what} {done.key.hex()[:12]}: its words are gone, and no outbox will carry it.")
    terminal.result({"draft": isinstance(done, Draft), "id": done.key.hex(), "thread": done.thread.hex()})


@click.command()
@vault_option
@passphrase_option
@click.argument("tip")
@json_option
@pass_terminal
def thread(terminal: Terminal, vault: Path, passphrase_file: Path, tip: str) -> None:
    """Show all that a source and you have said, in the order of days."""
    with open_vault(terminal, vault, passphrase_file) as opened:
        found = tips.find_tip(opened, tip)
        read = joined_tips(opened, found.thread)
        talk = conversations.thread_of(opened, ceremony.organisation_of(opened), found)
        known = Thread.find(opened, found.thread)
        drafts = unsent.drafts_of(opened, found.thread)
        opened.lock(waiting(terminal))  # only now: reading keeps no import out
        conversations.mark_read(opened, read)
    terminal.say(f"Consent: {printable(sentences.consent(known, days.today()), _LINE)}")
    if talk["forged"]:
        terminal.say(sentences.forged(talk["forged"]))
    for message in talk["messages"]:
        who = "source" if message["kind"] == "tip" else talk["organisation"]
        terminal.say(
            f"{message['day']}  {who}  {message['id'][:12]}  {message['state']} {message.get('code', '')}".rstrip()
        )
        for line in message["text"].splitlines():
            terminal.say(f"    {printable(line, _LINE)}")
        if message["kind"] == "tip" and message["damaged"]:
            terminal.say(f"    ({sentences.DAMAGED})")
        for file in message["files"]:
            terminal.say(f"    [{printable(file['name'])}, {file['size']:,} bytes]")
        if message["kind"] == "tip":
            for line in sentences.tip_lines(message):
                terminal.say(f"    ({line})")
            if message["imported"] != message["day"]:
                terminal.say(f"    (imported {message['imported']})")
            if message["other_mailbox"]:
                terminal.say(f"    ({sentences.OTHER_MAILBOX})")
    _say_marks(terminal, talk)
    for draft in drafts:
        terminal.say(f"{draft.day}  a reply that was cut short, {draft.key.hex()[:12]}")
        _say_words(terminal, draft.message)
        for named in draft.files:
            terminal.say(f"    [{printable(named.name)}, {named.size:,} bytes]")
    _say_drafts(terminal, drafts, found.id)
    terminal.result(talk | {"drafts": [draft.key.hex() for draft in drafts]})


def _say_marks(terminal: Terminal, talk: Mapping[str, Any]) -> None:
    """What people at this desk said of the thread."""
    for note in talk["notes"]:
        terminal.say(f"{note['day']}  note of {printable(note['who'])}, which is never sent")
        for line in note["text"].splitlines():
            terminal.say(f"    {printable(line, _LINE)}")
    said = (
        "spam" if talk["spam"] else "",
        f"tags {printable(', '.join(talk['tags']), _LINE)}" if talk["tags"] else "",
        f"given to {printable(talk['person'])}" if talk["person"] else "",
    )
    if any(said):
        terminal.say(f"Marked: {'; '.join(filter(None, said))}")


@click.command()
@vault_option
@passphrase_option
@tips_argument
@json_option
@pass_terminal
def close(terminal: Terminal, vault: Path, passphrase_file: Path, tips: tuple[str, ...]) -> None:
    """Set threads aside: their tips are listed as closed. A follow-up is still listed as new."""
    with open_vault(terminal, vault, passphrase_file, write=True) as opened:
        threads = threads_of(opened, tips)
        count = conversations.close(opened, *threads)
        save_index(opened)
    named = ", ".join(thread_id.hex()[:8] for thread_id in threads)
    terminal.say(f"Closed the thread{'' if len(threads) == 1 else 's'} {named}: {count} tips.")
    terminal.result(
        {"closed": count, "thread": threads[0].hex(), "threads": [thread_id.hex() for thread_id in threads]}
    )


@click.command()
@vault_option
@passphrase_option
@click.option("--forget", is_flag=True, help="Unpin it: the next Bundle pins the server that it comes from.")
@json_option
@pass_terminal
def server(terminal: Terminal, *, vault: Path, passphrase_file: Path, forget: bool) -> None:
    """Show the digits of the one server whose Bundles this vault takes, to compare, read aloud; or forget it."""
    with open_vault(terminal, vault, passphrase_file, write=forget) as opened:
        found = pinned_server.forget(opened) if forget else pinned_server.pinned(opened)
    digits = pinned_server.server_digits(found)
    if forget:
        terminal.say(f"Forgot the server {digits}. Compare the digits of the next one before you import its Bundle.")
    else:
        terminal.say(digits)
    terminal.result({"digits": digits, "pinned": not forget})
