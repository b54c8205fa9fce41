"""Envelopes: sealing one, reading one, and its id (docs/format.md, section 4).

Sealing: ``seal`` makes header and letter at once (they can be sent before any file is read); ``Sealed.parts`` streams.
Reading: ``read_envelope`` splits a stream without keys; ``header.open_slot`` and ``letter.open_letter`` open its start,
``open_files`` the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from tipbox.errors import Incomplete, InputRefused, LimitExceeded, TrailingData, Truncated
from tipbox.formats.base.limits import KEY_SIZE, MAX_SLOTS, SALT_SIZE
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.envelopes.body import open_body, read_padded, seal_body, split_files
from tipbox.formats.envelopes.header import MAGIC, Header, body_commitment, content_commitment, header_size, seal_slot
from tipbox.formats.envelopes.letter import Letter, seal_letter

_PREFIX = len(MAGIC) + 2


@dataclass(frozen=True)
class Recipient:
    """A slot to fill: organisation id, receiving key and its id; the pair key, or None for a filler."""

    organisation: bytes
    key: bytes
    public: bytes = field(repr=False)
    pair_key: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Sealed:
    """A sealed header and letter, and what it takes to seal the body."""

    header: Header
    letter: bytes = field(repr=False)
    body_key: bytes = field(repr=False)

    def parts(self, files: Iterable[tuple[BinaryIO, int]]) -> Iterator[bytes]:
        """The sealed parts of ``files`` (open file, announced size), in the order of the letter's table. Once."""
        return seal_body(self.header, self.body_key, read_padded(files, self.header.body_size))


class EnvelopeId:
    """Computes an Envelope's id from its sealed bytes, in one pass and without keys."""

    def __init__(self, header: bytes, letter: bytes) -> None:
        self._digest = hashlib.sha256(header + letter)

    def add(self, part: bytes) -> None:
        """The next sealed part."""
        self.add_hash(sha256(part))

    def add_hash(self, part_hash: bytes) -> None:
        """The next sealed part, by its SHA-256."""
        self._digest.update(part_hash)

    def digest(self) -> bytes:
        """The id, 32 bytes."""
        return self._digest.digest()


def seal(recipients: Sequence[Recipient], letter: Letter) -> Sealed:
    """Seal ``letter`` to ``recipients``: one slot each, fillers for those without a pair key."""
    letter.check_sendable()
    if not 1 <= len(recipients) <= MAX_SLOTS:
        raise LimitExceeded(f"an Envelope has 1 to {MAX_SLOTS} slots")
    if all(recipient.pair_key is None for recipient in recipients):
        raise InputRefused("no organisation is chosen")
    if len({recipient.organisation for recipient in recipients}) != len(recipients):
        raise InputRefused("an organisation is named twice")
    salt, content_key = random_bytes(SALT_SIZE), random_bytes(KEY_SIZE)
    commitments = content_commitment(content_key, salt), body_commitment(letter.body_key, salt)
    slots = tuple(
        seal_slot(
            recipient.organisation,
            recipient.key,
            recipient.public,
            commitments,
            content_key + recipient.pair_key if recipient.pair_key is not None else random_bytes(2 * KEY_SIZE),
        )
        for recipient in sorted(recipients, key=lambda recipient: recipient.organisation)
    )
    plaintext = letter.encode()
    header = Header(len(plaintext), letter.body_size, salt, *commitments, slots)
    return Sealed(header, seal_letter(header, content_key, plaintext), letter.body_key)


@dataclass(frozen=True)
class Reading:
    """An Envelope as it is read: ``parts`` streams once and raises Incomplete or TrailingData at its end."""

    header: Header
    letter: bytes = field(repr=False)
    parts: Iterator[bytes] = field(repr=False)


def read_envelope(stream: BinaryIO) -> Reading:
    """Split the Envelope that takes up ``stream`` exactly, without keys and without reading ahead."""
    prefix = stream.read(_PREFIX)
    header = Header.parse(prefix + stream.read(header_size(prefix) - len(prefix)))
    letter = stream.read(header.sealed_letter_size)
    if len(letter) < header.sealed_letter_size:
        raise Truncated("the letter ends too early")
    return Reading(header, letter, _parts(header, stream))


def open_files(
    reading: Reading, letter: Letter, see: Callable[[bytes], object] = lambda _: None
) -> Iterator[tuple[int, bytes]]:
    """Open the body part by part.

    Args:
        reading: the Envelope; its parts are read here, once.
        letter: its opened letter, which has the body's key and the files' sizes.
        see: gets each sealed part before it is opened, to hash or keep the bytes as they came.

    Yields:
        The index of a file in the letter's table, and a piece of that file. A file of no bytes gets no piece.

    Raises:
        TipboxError: Tampered, Malformed, Incomplete or TrailingData, at the part that is wrong: only after the last
            piece is it known that nothing was.
    """

    def seen() -> Iterator[bytes]:
        for part in reading.parts:
            see(part)
            yield part

    plaintext = open_body(reading.header, letter.body_key, seen())
    yield from split_files(plaintext, [file.size for file in letter.files])


def _parts(header: Header, stream: BinaryIO) -> Iterator[bytes]:
    for index in range(header.parts):
        part = stream.read(header.part_size(index))
        if len(part) < header.part_size(index):
            raise Incomplete
        yield part
    if stream.read(1):
        raise TrailingData
