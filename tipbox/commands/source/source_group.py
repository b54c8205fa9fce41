"""``tipbox source``: sending a tip, and reading the replies.

Each command imports what it needs when it is called: help is there without the extra ``source``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tipbox.commands.source.deliver import deliver
from tipbox.commands.source.sealed_files import files_argument, message_option, read_text
from tipbox.commands.source.tip_options import (
    consent_option,
    must_be_shown,
    read_access_code,
    read_consent,
    show_code,
    to_option,
)
from tipbox.commands.terminal import Terminal, json_option, pass_terminal
from tipbox.errors import FORMAT_ERRORS, InputRefused, NotFound, PartlyDone, TipboxError, Usage
from tipbox.files.attachments import Attachment, measure
from tipbox.files.key_folder import load_folder
from tipbox.files.printable import printable
from tipbox.files.working import sweep
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base import days
from tipbox.source.recipients import Addressees
from tipbox.source.sealing import SealedTip, seal_tip

if TYPE_CHECKING:
    from tipbox.formats.envelopes.letter import FileEntry
    from tipbox.source.continuing import Found
    from tipbox.source.mailbox_client import Mailbox
    from tipbox.source.read_replies import Inbox, Reply
    from tipbox.source.upload import Placing, Upload

_PATH = click.Path(path_type=Path)
socks_option = click.option("--socks", metavar="HOST:PORT", help="Tor's SOCKS port, 127.0.0.1:9050.")
keys_option = click.option("--keys", type=_PATH, metavar="DIR", help="Folder of key manifests, from the organisations.")
trust_option = click.option(
    "--trust-server-keys",
    "trust",
    is_flag=True,
    help="In place of --keys: take the server's word for whose keys are whose.",
)

_GO_ON: Final = "not all files have arrived: `source continue` goes on with your code and the same files, for 14 days"
_AGAIN: Final = "the files cannot be continued: send them again, with --passphrase-file and your code"
_MOST_NAMED: Final = 5
"""Missing files that a person is told of."""
_UNNAMED: Final = "an organisation whose keys you do not have"


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
@click.option("--later", is_flag=True, help="Words go first; files that are cut off go on by `continue`.")
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
    later: bool,
    files: tuple[Path, ...],
) -> None:
    """Seal a message and files, send them, and print the code when the server has stored them."""
    from tipbox.net.http import Connection, NoDraft
    from tipbox.source.continuing import placing_of
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
    code, new = access_code or AccessCode.generate(), access_code is None
    if later and not attachments:
        raise Usage("sending: --later is for files; a message alone is sent whole, or not at all")
    with Connection(url, socks) as connection:
        if addressees is not None:
            # Before sealing: it may bring newer keys.
            known = compare_keys(connection, addressees, terminal.remark).with_fillers(fetch_fillers(connection))
        else:
            known = Addressees.served(fetch_manifests(connection, terminal.remark), to)
        payer = Payer(terminal.agrees_to_work, terminal.steps)

        def sealed(message: bytes, files: Sequence[Attachment], **more: Any) -> SealedTip:
            return seal_tip(known, message, files, code, days.today(), consent=allowed, **more)

        def sent(tip: SealedTip, placing: Placing | None = None, *, new: bool = False, quiet: bool = False) -> None:
            upload = Upload(connection, payer, placing)
            try:
                _deliver(terminal, tip, upload, lambda progress: send_tip(upload, tip, progress), new=new, quiet=quiet)
            except (TipboxError, OSError, KeyboardInterrupt) as error:
                if placing is not None:
                    is_there = upload.is_continuable and not isinstance(error, NoDraft)
                    terminal.remark(_GO_ON if is_there else _AGAIN)
                    terminal.finish()
                raise

        if not later:
            sent(sealed(message, attachments), new=new)
            return
        # Words go first, by themselves: what can be continued has none, and they have arrived whatever becomes of it.
        before = b""
        if new:
            show_code(terminal, code)
        if message:
            words = sealed(message, (), files_follow=len(attachments))
            sent(words, quiet=True)
            before = words.end.hash
        tip = sealed(b"", attachments, continues=before)
        sent(tip, placing_of(tip))


@source.command(name="continue")
@click.argument("url")
@keys_option
@trust_option
@socks_option
@click.option("--passphrase-file", required=True, type=_PATH, metavar="P", help="The code: digits or words.")
@click.option("--give-up", is_flag=True, help="In place of files: have the server forget what was begun.")
@files_argument
@json_option
@pass_terminal
def continue_(
    terminal: Terminal,
    *,
    url: str,
    keys: Path | None,
    trust: bool,
    socks: str | None,
    passphrase_file: Path,
    give_up: bool,
    files: tuple[Path, ...],
) -> None:
    """Go on with files that were sent with --later, or by the page, and did not all arrive: with the same files."""
    from tipbox.net.http import Connection
    from tipbox.source import continuing
    from tipbox.source.served import fetch_named
    from tipbox.source.upload import Upload

    if give_up == bool(files):
        raise Usage("continuing: name the files that were sent; or none, and --give-up")
    code = read_access_code(terminal, passphrase_file)
    _check_whence(terminal, keys, trust=trust)
    attachments, known = measure(files), load_folder(keys) if keys is not None else None
    with Connection(url, socks, operation="continuing") as connection:
        known = known if known is not None else fetch_named(connection, terminal.remark).manifests
        found, refused = continuing.find_uploads(connection, code.secrets())
        if refused and not found:
            raise InputRefused(
                "continuing: the server gave back something else than it was given, and nothing was sent; "
                "send the files anew with your code, --passphrase-file"
            )
        if refused:
            terminal.remark(f"{refused} left out: the server gave back something else than it was given")
        if not found:
            raise NotFound(
                "continuing: under this code nothing waits: it has arrived, or was sent without --later, "
                "or more than 14 days ago"
            )
        if give_up:
            for one in found:
                continuing.give_up(connection, one)
            terminal.say(f"Given up: {len(found)}.")
            terminal.result({"given_up": len(found)})
            return
        one, chosen = _fitting(found, attachments)
        tip = one.tip(code, chosen, {manifest.id: manifest.organisation for manifest in known})
        upload = Upload(connection, token=one.capsule.token)
        _deliver(terminal, tip, upload, lambda progress: continuing.go_on(upload, tip, progress), new=False)


def _deliver(
    terminal: Terminal,
    tip: SealedTip,
    upload: Upload,
    send: Callable[[Callable[[int], None]], None],
    *,
    new: bool,
    quiet: bool = False,
) -> None:
    """``deliver``; what another program or browser has finished meanwhile has arrived as well."""
    from tipbox.source.continuing import FinishedElsewhere, noticing_others

    def watched(progress: Callable[[int], None]) -> None:
        with noticing_others(upload):
            send(progress)

    try:
        deliver(terminal, tip, upload, watched, new=new, quiet=quiet)
    except FinishedElsewhere:
        terminal.say("Stored: another program or browser has gone on with these files and finished.")
        terminal.say("Check digits of them are shown there, not here.")
        terminal.result({"passphrase": tip.access_code.digits(), "tip": None})


def _fitting(found: Sequence[Found], attachments: Sequence[Attachment]) -> tuple[Found, list[Attachment]]:
    """The first upload that these files are of, and the files in the order of its own.

    Raises:
        InputRefused: they are of none; it names what is missing of the one that lacks fewest.
    """
    missing: list[FileEntry] = []
    for one in found:
        chosen = one.matched(attachments)
        files = [attachment for attachment in chosen if attachment is not None]
        if len(files) == len(chosen):
            return one, files
        lacking = [file for file, attachment in zip(one.files, chosen, strict=True) if attachment is None]
        if not missing or len(lacking) < len(missing):
            missing = lacking
    named = ", ".join(f"{printable(file.name, 100)} ({file.size:,} bytes)" for file in missing[:_MOST_NAMED])
    raise InputRefused(
        f"continuing: files are missing, or have another size than when they were sent: {named}"
        + (f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else "")
    )


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
