"""``tipbox source``: sending a tip, and reading the replies.

Each command imports what it needs when it is called: help is there without the extra ``source``.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tipbox.commands.source.sealed_files import files_argument, message_option, read_text
from tipbox.commands.source.tip_options import (
    consent_option,
    must_be_shown,
    read_access_code,
    read_consent,
    say_sealed,
    to_option,
)
from tipbox.commands.terminal import Terminal, json_option, pass_terminal
from tipbox.errors import FORMAT_ERRORS, NetworkFailed, PartlyDone, TipboxError, Usage
from tipbox.files.attachments import measure
from tipbox.files.key_folder import load_folder
from tipbox.files.printable import printable
from tipbox.files.working import sweep
from tipbox.formats.base import days
from tipbox.source.recipients import Addressees
from tipbox.source.sealing import seal_tip

if TYPE_CHECKING:
    from tipbox.source.mailbox_client import Mailbox
    from tipbox.source.read_replies import Inbox, Reply

_PATH = click.Path(path_type=Path)
socks_option = click.option("--socks", metavar="HOST:PORT", help="Tor's SOCKS port, 127.0.0.1:9050.")
keys_option = click.option("--keys", type=_PATH, metavar="DIR", help="Folder of key manifests, from the organisations.")
trust_option = click.option(
    "--trust-server-keys",
    "trust",
    is_flag=True,
    help="In place of --keys: take the server's word for whose keys are whose.",
)

_MAYBE: Final = "the message may have arrived"
"""The last request was sent, and its answer never came."""
_UNNAMED: Final = "an organisation whose keys you do not have"
_THEN: Final = "keep the code, and look for a reply before you send it again"


def _check_whence(terminal: Terminal, keys: Path | None, *, trust: bool) -> None:
    """That the manifests come from ``--keys`` or from the server, one of the two."""
    if (keys is not None) == trust:
        raise Usage("reading the keys: give --keys DIR; or, if you have no manifests from them, --trust-server-keys")
    if trust:
        terminal.remark("the keys come from the server alone: whoever controls it can put in their own")


@click.group()
def source() -> None:
    """Send a sealed tip; read the replies."""


@source.command()
@click.argument("url")
@keys_option
@trust_option
@socks_option
@to_option
@message_option
@consent_option
@click.option("--passphrase-file", type=_PATH, metavar="P", help="The code of a tip to follow up.")
@files_argument
@json_option
@pass_terminal
def send(
    terminal: Terminal,
    *,
    url: str,
    keys: Path | None,
    trust: bool,
    socks: str | None,
    to: tuple[str, ...],
    message_file: Path,
    consent: Path | None,
    passphrase_file: Path | None,
    files: tuple[Path, ...],
) -> None:
    """Seal a message and files, send them, and print the code when the server has stored them."""
    from tipbox.net.http import Connection
    from tipbox.source.paying import Payer
    from tipbox.source.send import compare_keys, send_tip
    from tipbox.source.served import fetch_fillers, fetch_manifests
    from tipbox.source.upload import Upload

    must_be_shown()  # before anything is sent: afterwards it would be too late to show the code
    access_code = read_access_code(terminal, passphrase_file) if passphrase_file is not None else None
    _check_whence(terminal, keys, trust=trust)
    addressees = Addressees.load(keys, to, terminal.remark) if keys is not None else None
    if any(path.suffix == ".tip" for path in files):
        terminal.remark(
            "a .tip file among the files is sealed already: this sends it as a file of a new tip; "
            "to deliver it as it is, give it to the organisation on a stick"
        )
    message, allowed, attachments = read_text(terminal, message_file), read_consent(consent), measure(files)
    new, upload = access_code is None, None
    try:
        with Connection(url, socks) as connection:
            if addressees is not None:
                # Before sealing: it may bring newer keys.
                addressees = compare_keys(connection, addressees, terminal.remark).with_fillers(
                    fetch_fillers(connection)
                )
            else:
                addressees = Addressees.served(fetch_manifests(connection, terminal.remark), to)
            tip = seal_tip(addressees, message, attachments, access_code, days.today(), consent=allowed)
            upload = Upload(connection, Payer(terminal.agrees_to_work, terminal.steps))
            try:
                with terminal.progress("sending", tip.size) as progress:
                    send_tip(upload, tip, progress)
            # The code is shown although it failed: if the tip has arrived, nothing else opens the reply.
            except (TipboxError, OSError) as error:
                if not upload.may_be_stored:
                    raise
                say_sealed(terminal, tip, "", new=new, done=_MAYBE)
                # By another session's word, or a lying server's: the error may be of any kind.
                kind = type(error) if isinstance(error, TipboxError) else NetworkFailed
                raise kind(f"{error}; {_MAYBE}: {_THEN}") from error
        say_sealed(terminal, tip, "Stored.", new=new, done="the tip is stored")
    except KeyboardInterrupt:  # until the last line of it is out: being stopped while it is printed loses the code too
        if upload is not None and upload.may_be_stored:
            terminal.remark(f"{_MAYBE}: {_THEN}")
            terminal.finish()
            say_sealed(terminal, tip, "", new=new, done=_MAYBE)
        raise


@source.command()
@click.argument("url")
@keys_option
@trust_option
@socks_option
@click.option("--passphrase-file", required=True, type=_PATH, metavar="P", help="The code: digits or words.")
@click.option("--out", type=_PATH, metavar="DIR", help="Save each reply and its files below this folder.")
@click.option("--delete", is_flag=True, help="Delete from the server what was read, and saved where it has files.")
@json_option
@pass_terminal
def inbox(
    terminal: Terminal,
    *,
    url: str,
    keys: Path | None,
    trust: bool,
    socks: str | None,
    passphrase_file: Path,
    out: Path | None,
    delete: bool,
) -> None:
    """Read the replies. The server is shown tokens, never the code: for each organisation on a circuit of its own."""
    from tipbox.net.http import Connection
    from tipbox.source.mailbox_client import Mailbox
    from tipbox.source.read_replies import read_inbox
    from tipbox.source.served import fetch_named, to_ask

    secrets = read_access_code(terminal, passphrase_file).secrets()
    _check_whence(terminal, keys, trust=trust)
    known = load_folder(keys) if keys is not None else None

    def connect() -> Connection:
        return connections.enter_context(Connection(url, socks, operation="reading the mailbox"))

    with ExitStack() as connections:
        named = fetch_named(connect(), terminal.remark)
        if known is None:
            known = named.manifests
        organisations, left_out = to_ask([manifest.id for manifest in known], named.organisations)
        if left_out:
            terminal.remark(f"{left_out} organisations that the server names were not asked for: it names too many")
        mailboxes = (Mailbox(connect(), secrets, [organisation]) for organisation in organisations)
        found = read_inbox(mailboxes, secrets, known)
        unsaved = _save(terminal, found, out) if out is not None else []
        _say_inbox(terminal, found)
        terminal.result({"replies": [_as_json(reply) for reply in found.replies]})
        kept = [reply for reply in found.replies if reply in unsaved or (out is None and reply.has_files)]
        if delete:
            gone = [reply for reply in found.replies if reply not in kept]
            _delete(gone)
            terminal.say(f"Deleted {len(gone)} from the server.")
            if len(kept) > len(unsaved):
                terminal.remark("replies with files were not deleted: save them first with --out")
    if unsaved:
        raise PartlyDone(f"saving: {len(unsaved)} could not be saved and were not deleted; the rest is done")


def _delete(replies: list[Reply]) -> None:
    """Delete replies, those of each mailbox on its own circuit."""
    by_mailbox: dict[Mailbox, list[bytes]] = {}
    for reply in replies:
        by_mailbox.setdefault(reply.mailbox, []).append(reply.entry.id)
    for mailbox, ids in by_mailbox.items():
        mailbox.delete(ids)


def _save(terminal: Terminal, found: Inbox, out: Path) -> list[Reply]:
    """Save all replies; those whose files are not what was sealed are given back."""
    from tipbox.source.read_replies import save_reply

    unsaved = []
    if out.is_dir():
        sweep(out)  # what a killed run left there is plaintext, and goes even when there is nothing to save
    total = sum(reply.entry.size for reply in found.replies if reply.has_files)
    with terminal.progress("fetching", total) as progress:
        for reply in found.replies:
            try:
                save_reply(reply, out, progress)
            except FORMAT_ERRORS as error:
                terminal.remark(f"saving {reply.id[:12]}: {error}")
                unsaved.append(reply)
    return unsaved


def _say_inbox(terminal: Terminal, found: Inbox) -> None:
    from tipbox.source.read_replies import file_names

    for reply in found.replies:
        terminal.say(f"{reply.id[:12]}  {reply.day}  from {reply.organisation or _UNNAMED}")
        for row in reply.text.splitlines():
            terminal.say(f"  {printable(row.replace(chr(9), ' '), len(row) + 1)}")
        for name, file in zip(file_names(reply), reply.letter.files, strict=True):
            terminal.say(f"  file {name}, {file.size:,} bytes")
    if not found.replies:
        terminal.say("No reply. A mailbox that is empty, unknown or read looks the same; come back another day.")
    for count, what in (
        (found.unknown_senders, "from none of the organisations that you wrote to"),
        (found.newer, "made by a newer version of tipbox: upgrade to read it"),
        (found.damaged, "damaged, or not for this code"),
    ):
        if count:
            terminal.remark(f"{count} left out: {what}")


def _as_json(reply: Reply) -> dict[str, object]:
    return {
        "day": reply.day.isoformat(),
        "files": [{"name": file.name, "size": file.size} for file in reply.letter.files],
        "id": reply.id,
        "organisation": reply.organisation,
        "text": reply.text,
    }
