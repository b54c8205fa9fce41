"""Reading mailboxes: which replies are from whom, their files into a folder, and deletion.

Whom a reply is from is known by the pair key that opens it and nothing else. What no pair key opens is counted and left
out.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, cast

from tipbox.errors import FORMAT_ERRORS, Malformed, NotForYou, Tampered, UnsupportedVersion
from tipbox.files.durable import fsync_folder, write_file
from tipbox.files.names import on_disk, safe_name
from tipbox.files.working import working_folder
from tipbox.formats.access_code import Secrets
from tipbox.formats.envelopes.envelope import Reading, open_files, read_envelope
from tipbox.formats.envelopes.header import Kind
from tipbox.formats.envelopes.letter import Letter
from tipbox.formats.envelopes.reply import open_reply
from tipbox.formats.mailbox_list import Entry
from tipbox.formats.manifest import Manifest
from tipbox.source.mailbox_client import Mailbox, Pieces, opening

MESSAGE = "message.txt"
FILES = "files"


@dataclass(frozen=True)
class Reply:
    """A reply from the organisation in whose mailbox it lay. Names and words are that organisation's.

    Attributes:
        entry: its line of the list.
        mailbox: what fetches and deletes it.
        writer: the organisation's id, 16 bytes.
        organisation: its name by a manifest that the source has; empty when it has none.
        header_hash: SHA-256 of its header.
        letter: what it says.
    """

    entry: Entry
    mailbox: Mailbox
    writer: bytes
    organisation: str
    header_hash: bytes
    letter: Letter = field(repr=False)

    @property
    def id(self) -> str:
        """The Envelope's id, in hex."""
        return self.entry.id.hex()

    @property
    def day(self) -> date:
        """When it was sealed: its writer's word. The server could list any day."""
        return cast("date", self.letter.day)

    @property
    def text(self) -> str:
        """The message; what is not UTF-8 becomes U+FFFD."""
        return self.letter.message.decode(errors="replace")

    @property
    def has_files(self) -> bool:
        """Whether it has files."""
        return bool(self.letter.files)


@dataclass
class Inbox:
    """What was found: the replies, and how many there are of what is not shown."""

    replies: list[Reply] = field(default_factory=list)
    unknown_senders: int = 0
    """From nobody: no pair key opens them,"""
    newer: int = 0
    """made by a newer tipbox,"""
    damaged: int = 0
    """not opening, or not what the list says."""


def read_inbox(mailboxes: Iterable[Mailbox], source: Secrets, manifests: Collection[Manifest]) -> Inbox:
    """Fetch the lists and open every letter. A reply that comes twice is shown once.

    Args:
        mailboxes: opened here one after the other.
        source: the source's secrets.
        manifests: name the organisations; with good signatures, expired or not.

    Returns:
        The replies, newest first.
    """
    names = {manifest.id: manifest.organisation for manifest in manifests}
    found, seen = Inbox(), set[bytes]()
    for mailbox in mailboxes:
        _read_mailbox(mailbox, source, names, found, seen)
    found.replies.sort(key=lambda reply: (-reply.day.toordinal(), reply.entry.id))
    return found


def _read_mailbox(mailbox: Mailbox, source: Secrets, names: dict[bytes, str], found: Inbox, seen: set[bytes]) -> None:
    listed = mailbox.list()
    for number, entry in enumerate(listed.entries):
        writer = mailbox.organisation(entry)
        if writer is None:
            found.unknown_senders += 1
            continue
        try:
            data = listed.openings[number] if number < len(listed.openings) else opening(mailbox, entry)
            reading = _reading(entry, data)
            letter = open_reply(reading, source.pair_key(writer))
        except NotForYou:
            found.unknown_senders += 1
        except UnsupportedVersion:
            found.newer += 1
        except FORMAT_ERRORS:
            found.damaged += 1
        else:
            # By the header, which the sender made: a server could list one reply under two ids.
            if reading.header.hash not in seen:
                seen.add(reading.header.hash)
                name = names.get(writer, "")
                found.replies.append(Reply(entry, mailbox, writer, name, reading.header.hash, letter))


def _reading(entry: Entry, opened: bytes) -> Reading:
    """The start of a reply; of one without files, this is all of it."""
    reading = read_envelope(io.BytesIO(opened), Kind.REPLY)
    if reading.header.opening_size != len(opened):
        raise Malformed("a reply's letter has another size than its list says")
    if reading.header.envelope_size != entry.size:
        raise Malformed("a reply has another size than its list says")
    # Of a reply with files the id covers parts that are not here yet: it is checked when they are saved.
    if not reading.header.parts and reading.end().id != entry.id:
        raise Tampered("a reply is not the one that its list names")
    return reading


def save_reply(reply: Reply, out: Path, progress: Callable[[int], None] = lambda _: None) -> Path:
    """Save a reply durably below the folder ``out``; one that was saved before stays as it is.

    It is written to a folder beside and moved into place once its last part has been verified.

    Raises:
        TipboxError: its files are not what was sealed.
    """
    folder = out / reply.id
    if folder.is_dir():  # it got this name when it was whole
        return folder
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    with working_folder(out) as work:
        write_file(work / MESSAGE, reply.letter.message)
        if reply.has_files:
            (work / FILES).mkdir(mode=0o700)
            _save_files(reply, work / FILES, progress)
            fsync_folder(work / FILES)
        # Contents, then the name: what --delete removes from the server must be on this disk, also after a power cut.
        fsync_folder(work)
        work.rename(folder)
    fsync_folder(out)
    return folder


def _save_files(reply: Reply, folder: Path, progress: Callable[[int], None]) -> None:
    stream = cast("BinaryIO", Pieces(reply.mailbox, reply.entry, progress))
    reading = read_envelope(stream, Kind.REPLY)
    # Fetched once more: the server must not put another reply under a letter that was already shown.
    if reading.header.hash != reply.header_hash:
        raise Tampered("a reply is not the one that was read before")
    paths = [folder / on_disk(name) for name in file_names(reply)]
    for path in paths:  # before the first piece: a file of no bytes gets none
        write_file(path, b"")
    for number, group in groupby(open_files(reading, reply.letter), key=itemgetter(0)):
        with paths[number].open("wb") as file:
            file.writelines(piece for _, piece in group)
            file.flush()
            os.fsync(file.fileno())
    if reading.end().id != reply.entry.id:
        raise Tampered("a reply is not the one that its list names")


def file_names(reply: Reply) -> list[str]:
    """Under which names the files of a reply are saved."""
    return [safe_name(number, file.name) for number, file in enumerate(reply.letter.files, 1)]
