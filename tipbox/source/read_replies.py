"""Reading a mailbox: which replies are from whom, their files into a folder, and deletion.

Whom a reply is from is known by its pair key and nothing else. What is from nobody that the source knows is counted and
left out.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, cast

from tipbox.errors import FORMAT_ERRORS, Malformed, Tampered, UnsupportedVersion
from tipbox.files.durable import fsync_folder, write_file
from tipbox.files.names import on_disk, safe_name
from tipbox.files.working import working_folder
from tipbox.formats.access_code import Secrets
from tipbox.formats.base.primitives import equal
from tipbox.formats.envelopes.envelope import EnvelopeId, Reading, open_files, read_envelope
from tipbox.formats.envelopes.letter import Letter
from tipbox.formats.envelopes.reply import open_reply
from tipbox.formats.mailbox_list import Entry
from tipbox.formats.manifest import Manifest
from tipbox.source.mailbox_client import Mailbox, Pieces, opening

MESSAGE = "message.txt"
FILES = "files"


@dataclass(frozen=True)
class Reply:
    """A reply from an organisation that the source knows. Names and words are that organisation's."""

    entry: Entry
    organisation: str
    header_hash: bytes
    letter: Letter = field(repr=False)

    @property
    def id(self) -> str:
        """The Envelope's id, in hex."""
        return self.entry.id.hex()

    @property
    def day(self) -> date:
        """When it was deposited."""
        return self.entry.day

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
    """From none of the organisations known,"""
    newer: int = 0
    """made by a newer tipbox,"""
    damaged: int = 0
    """not opening, or not what the list says."""


def read_inbox(mailbox: Mailbox, source: Secrets, manifests: list[Manifest]) -> Inbox:
    """Fetch the list and open every letter. A reply that comes twice is shown once."""
    found, seen = Inbox(), set[bytes]()
    listed = mailbox.list()
    for number, entry in enumerate(listed.entries):
        data = listed.openings[number] if number < len(listed.openings) else opening(mailbox, entry)
        try:
            reading = _reading(entry, data)
            opened = open_reply(reading, source, [manifest.id for manifest in manifests])
        except UnsupportedVersion:
            found.newer += 1
        except FORMAT_ERRORS:
            found.damaged += 1
        else:
            writer = next((manifest for manifest in manifests if manifest.id == opened.organisation), None)
            if writer is None:
                found.unknown_senders += 1
            # By the header, which the sender made: a server could list one reply under two ids.
            elif reading.header.hash not in seen:
                seen.add(reading.header.hash)
                found.replies.append(Reply(entry, writer.organisation, reading.header.hash, opened.letter))
    return found


def _reading(entry: Entry, opened: bytes) -> Reading:
    """The start of a reply; of one without files, this is all of it."""
    reading = read_envelope(io.BytesIO(opened))
    if len(reading.header.encoded) + len(reading.letter) != len(opened):
        raise Malformed("a reply's letter has another size than its list says")
    if reading.header.envelope_size != entry.size:
        raise Malformed("a reply has another size than its list says")
    # Of a reply with files the id covers parts that are not here yet: it is checked when they are saved.
    if not reading.header.parts and EnvelopeId(reading.header.encoded, reading.letter).digest() != entry.id:
        raise Tampered("a reply is not the one that its list names")
    return reading


def save_reply(mailbox: Mailbox, reply: Reply, out: Path, progress: Callable[[int], None] = lambda _: None) -> Path:
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
            _save_files(mailbox, reply, work / FILES, progress)
            fsync_folder(work / FILES)
        # Contents, then the name: what --delete removes from the server must be on this disk, also after a power cut.
        fsync_folder(work)
        work.rename(folder)
    fsync_folder(out)
    return folder


def _save_files(mailbox: Mailbox, reply: Reply, folder: Path, progress: Callable[[int], None]) -> None:
    reading = read_envelope(cast("BinaryIO", Pieces(mailbox, reply.entry, progress)))
    # Fetched once more: the server must not put another reply under a letter that was already shown.
    if reading.header.hash != reply.header_hash:
        raise Tampered("a reply is not the one that was read before")
    ident = EnvelopeId(reading.header.encoded, reading.letter)
    paths = [folder / on_disk(name) for name in file_names(reply)]
    for path in paths:  # before the first piece: a file of no bytes gets none
        write_file(path, b"")
    for number, group in groupby(open_files(reading, reply.letter, ident.add), key=itemgetter(0)):
        with paths[number].open("wb") as file:
            file.writelines(piece for _, piece in group)
            file.flush()
            os.fsync(file.fileno())
    if not equal(ident.digest(), reply.entry.id):
        raise Tampered("a reply is not the one that its list names")


def file_names(reply: Reply) -> list[str]:
    """Under which names the files of a reply are saved."""
    return [safe_name(number, file.name) for number, file in enumerate(reply.letter.files, 1)]
