"""What a list shows of a message without opening it: written at the import, in the transaction that keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from tipbox.desk.inbox.detect_language import detect
from tipbox.desk.inbox.file_kinds import HEAD, by_bytes, by_name
from tipbox.desk.vault.records import VaultRecord
from tipbox.files.printable import printable
from tipbox.formats.base.primitives import sha256
from tipbox.formats.envelopes.letter import Letter

BEGINS: Final = 280
"""Characters of a message that lists show."""


@dataclass(frozen=True)
class FileSummary:
    """A file: SHA-256 of its bytes, what they say that it is, and what its name says. Either may be empty."""

    hash: bytes
    kind: str
    named: str


@dataclass(frozen=True)
class Summary(VaultRecord):
    """An Envelope in a list.

    Attributes:
        id: the Envelope's id.
        begins: the first characters of its message, on one line, and nothing that does more than show itself.
        length: bytes of the message.
        language: as it was detected; empty when nothing told.
        said: the language that the source's client named; empty when it did not.
        files: in the order of the letter.
        same: a hash of message and files: two with the same one say the same, whoever sent them.
        effort: the class of what was paid for it, 0 to 7.
    """

    kind: ClassVar[str] = "summary"
    id: bytes
    begins: str = field(repr=False)
    length: int
    language: str
    said: str
    files: tuple[FileSummary, ...] = field(repr=False)
    same: bytes
    effort: int = 0

    @property
    def key(self) -> bytes:
        """The Envelope's id."""
        return self.id


class FileWatcher:
    """Sees the files of an Envelope as they are read: their hashes and their first bytes."""

    def __init__(self, letter: Letter) -> None:
        self._letter = letter
        self._digests = [hashlib.sha256() for _ in letter.files]
        self._heads = [b""] * len(letter.files)

    def see(self, pieces: Iterable[tuple[int, bytes]]) -> None:
        """Take all pieces of ``open_files``."""
        for index, piece in pieces:
            self._digests[index].update(piece)
            if len(self._heads[index]) < HEAD:
                self._heads[index] = (self._heads[index] + piece)[:HEAD]

    def summary(self, ident: bytes) -> Summary:
        """Of the Envelope with this id, when all was seen."""
        letter = self._letter
        text = letter.message[:MAX_LOOKED_AT].decode(errors="replace")
        files = tuple(
            FileSummary(digest.digest(), by_bytes(head), by_name(file.name))
            for digest, head, file in zip(self._digests, self._heads, letter.files, strict=True)
        )
        return Summary(
            id=ident,
            begins=printable(" ".join(text.split()), BEGINS),
            length=len(letter.message),
            language=detect(text),
            said=letter.language,
            files=files,
            same=sha256(sha256(letter.message), *(file.hash for file in files)),
        )


MAX_LOOKED_AT: Final = 64 * 1024
"""Bytes of a message from which its first words and its language are taken."""
