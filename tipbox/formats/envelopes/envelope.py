"""Envelopes: sealing one, and reading one (docs/format.md, section 4).

Sealing: ``seal`` makes header and letter at once (they can be sent before any file is read); ``Sealed.parts`` streams,
and ``Sealed.trailer`` ends it. Reading: ``read_envelope`` splits a stream without keys; ``header.open_slot`` and
``letter.open_letter`` open its start, ``open_files`` the rest, ``seals.check_seal`` tells whether it is its source's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from tipbox.errors import Incomplete, InputRefused, LimitExceeded, TrailingData, Truncated
from tipbox.formats.base.limits import KEY_SIZE, MAX_SLOTS, SALT_SIZE, SEAL_SIZE, SLOT_SECRETS
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.envelopes.body import (
    FilesAt,
    ReadAt,
    Room,
    new_room,
    open_at,
    open_body,
    read_padded,
    seal_batches,
    seal_body,
    split_files,
)
from tipbox.formats.envelopes.header import (
    PREFIX,
    Header,
    Kind,
    OpenedSlot,
    body_commitment,
    content_commitment,
    header_size,
    seal_slot,
)
from tipbox.formats.envelopes.letter import Letter, seal_letter
from tipbox.formats.envelopes.seals import End, EnvelopeHash, check_digits, envelope_id, tag


@dataclass(frozen=True)
class Recipient:
    """A slot to fill.

    Attributes:
        organisation: its id, 16 bytes.
        key: the id of its receiving key.
        public: that key, 1216 bytes.
        pair_key: what the source and it share (32 bytes); None makes a filler.
        mailbox: the address (32 bytes) of the mailbox in which it answers; empty for a filler.
    """

    organisation: bytes
    key: bytes
    public: bytes = field(repr=False)
    pair_key: bytes | None = field(repr=False)
    mailbox: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Sealed:
    """A sealed header and letter, and what it takes to seal the rest.

    Attributes:
        slots: what each slot of the header holds; None for a filler.
    """

    header: Header
    letter: bytes = field(repr=False)
    body_key: bytes = field(repr=False)
    slots: tuple[OpenedSlot | None, ...] = field(default=(), repr=False)

    @property
    def opening(self) -> bytes:
        """Header ‖ letter."""
        return self.header.encoded + self.letter

    def parts(self, files: Iterable[tuple[BinaryIO, int]], session_nonce: bytes | None = None) -> Iterator[bytes]:
        """The sealed parts of ``files`` (open file, announced size), in the order of the letter's table.

        Once for each session: see ``seal_body``.
        """
        pieces = read_padded(files, self.header.body_size)
        return seal_body(self.header, self.body_key, pieces, session_nonce)

    def batches(
        self, files: Iterable[tuple[BinaryIO, int]], session_nonce: bytes, room: Room = new_room
    ) -> Iterator[tuple[memoryview, list[bytes]]]:
        """The same on two processors: some parts at a time, and SHA-256 of each, as ``seal_batches`` gives them."""
        pieces = read_padded(files, self.header.body_size)
        return seal_batches(self.header, self.body_key, pieces, session_nonce, room)

    def trailer(self, envelope_hash: bytes) -> bytes:
        """The trailer: a tag for each organisation that was chosen, 32 random bytes for each other, new at each call.

        ``envelope_hash`` must be made from hashes of parts that were sealed here, never from what a server named: the
        tag would be the source's own seal over somebody else's bytes.
        """
        return b"".join(
            random_bytes(SEAL_SIZE) if slot is None else tag(self.header, slot, envelope_hash) for slot in self.slots
        )

    def check_digits(self, organisation: bytes, envelope_hash: bytes) -> str:
        """What source and the organisation with this id, which was chosen, compare."""
        place = [slot.organisation for slot in self.header.slots].index(organisation)
        slot = self.slots[place]
        if slot is None:
            raise InputRefused("check digits are for those who were chosen")
        return check_digits(slot, envelope_hash)


def seal(recipients: Sequence[Recipient], letter: Letter) -> Sealed:
    """Seal ``letter`` to ``recipients``: one slot each, fillers for those without a pair key."""
    letter.check_sendable()
    if not 1 <= len(recipients) <= MAX_SLOTS:
        raise LimitExceeded(f"an Envelope has 1 to {MAX_SLOTS} slots")
    if all(recipient.pair_key is None for recipient in recipients):
        raise InputRefused("no organisation is chosen")
    if len({recipient.organisation for recipient in recipients}) != len(recipients):
        raise InputRefused("an organisation is named twice")
    content_key = random_bytes(KEY_SIZE)
    plaintext, bare = _begin(Kind.TIP, letter, content_key, random_bytes(SALT_SIZE))
    fixed = bare.fixed(len(recipients))
    ordered = sorted(recipients, key=lambda recipient: recipient.organisation)
    opened = tuple(
        None if to.pair_key is None else OpenedSlot.new(content_key, to.pair_key, to.mailbox) for to in ordered
    )
    slots = tuple(
        seal_slot(
            fixed,
            recipient.organisation,
            recipient.key,
            recipient.public,
            random_bytes(SLOT_SECRETS) if slot is None else slot.encode(),
        )
        for recipient, slot in zip(ordered, opened, strict=True)
    )
    header = replace(bare, slots=slots)
    return Sealed(header, seal_letter(header, content_key, plaintext), letter.body_key, opened)


def seal_under(content_key: bytes, salt: bytes, letter: Letter) -> Sealed:
    """Seal ``letter`` as a reply, under keys that its reader has already."""
    letter.check_sendable()
    plaintext, header = _begin(Kind.REPLY, letter, content_key, salt)
    return Sealed(header, seal_letter(header, content_key, plaintext), letter.body_key)


def _begin(kind: Kind, letter: Letter, content_key: bytes, salt: bytes) -> tuple[bytes, Header]:
    """The padded plaintext of a letter, and the header that announces it, still without slots."""
    plaintext = letter.encode(kind)
    commitments = content_commitment(content_key, salt), body_commitment(letter.body_key, salt)
    return plaintext, Header(kind, len(plaintext), letter.body_size, salt, *commitments)


class Reading:
    """An Envelope as it is read from a stream that it takes up exactly, once and without reading ahead.

    Attributes:
        header: parsed.
        letter: still sealed.
        parts: the sealed parts, each hashed as it is read; raises Incomplete when one is not whole.
    """

    def __init__(self, header: Header, letter: bytes, stream: BinaryIO, *, hashes: bool) -> None:
        self.header = header
        self.letter = letter
        self.parts = self._parts()
        self._stream = stream
        self._hashes = hashes
        self._hash = EnvelopeHash(header.encoded, letter)

    def _parts(self) -> Iterator[bytes]:
        for index in range(self.header.parts):
            part = self._stream.read(self.header.part_size(index))
            if len(part) < self.header.part_size(index):
                raise Incomplete
            if self._hashes:
                self._hash.add(part)
            yield part

    def add_hashes(self, part_hashes: bytes) -> None:
        """Where parts are not hashed as they are read: SHA-256 of the next ones, joined, before ``end``."""
        self._hash.add_hashes(part_hashes)

    def pass_parts(self) -> None:
        """Go on behind the parts, which were read in another way. Of a stream that can be read anywhere."""
        self._stream.seek(self.header.opening_size + self.header.sealed_body_size)
        self.parts = iter(())

    def end(self) -> End:
        """Read what is left of the Envelope.

        Raises:
            Incomplete: parts or the trailer are too short.
            TrailingData: there are bytes after it.
        """
        for _ in self.parts:
            pass
        trailer = self._stream.read(self.header.trailer_size)
        if len(trailer) < self.header.trailer_size:
            raise Incomplete
        if self._stream.read(1):
            raise TrailingData
        envelope_hash = self._hash.digest()
        return End(envelope_hash, trailer, envelope_id(envelope_hash, trailer))


def read_envelope(stream: BinaryIO, kind: Kind = Kind.TIP, *, hashes: bool = True) -> Reading:
    """Split the Envelope of that kind which takes up ``stream`` exactly, without keys.

    Args:
        stream: its bytes, and nothing else.
        kind: that it must be of.
        hashes: its parts as they are read; else the caller does it, with ``Reading.add_hashes``.

    Raises:
        TipboxError: an error of the header, Malformed when it is of the other kind; Truncated when the letter is cut.
    """
    prefix = stream.read(PREFIX)
    header = Header.parse(prefix + stream.read(header_size(prefix) - len(prefix)))
    header.expect(kind)
    letter = stream.read(header.sealed_letter_size)
    if len(letter) < header.sealed_letter_size:
        raise Truncated("the letter ends too early")
    return Reading(header, letter, stream, hashes=hashes)


def open_files(
    reading: Reading, letter: Letter, see: Callable[[bytes], object] = lambda _: None
) -> Iterator[tuple[int, bytes]]:
    """Open the body part by part.

    Args:
        reading: the Envelope; its parts are read here, once.
        letter: its opened letter, which has the body's key and the files' sizes.
        see: gets each sealed part before it is opened, to keep the bytes as they came.

    Yields:
        The index of a file in the letter's table, and a piece of that file. A file of no bytes gets no piece.

    Raises:
        TipboxError: Tampered, Malformed or Incomplete, at the part that is wrong. Only ``Reading.end`` tells that the
            Envelope is whole.
    """

    def seen() -> Iterator[bytes]:
        for part in reading.parts:
            see(part)
            yield part

    plaintext = open_body(reading.header, letter.body_key, seen())
    yield from split_files(plaintext, [file.size for file in letter.files])


def open_files_at(
    reading: Reading, letter: Letter, read: ReadAt, write: Callable[[int, int, memoryview], object]
) -> Iterator[int]:
    """The same on two processors, of an Envelope that can be read anywhere and whose parts are not hashed as they are.

    They are hashed here. For who keeps nothing unless all is right.

    Args:
        reading: the Envelope; its stream is behind its parts in the end.
        letter: its opened letter.
        read: reads it anywhere.
        write: takes the index of a file, where in it, and a piece of it, in any order, from two threads.

    Yields:
        Bytes that were opened.
    """
    files = FilesAt([file.size for file in letter.files], write)
    for size, part_hashes in open_at(reading.header, letter.body_key, read, files.write):
        reading.add_hashes(part_hashes)
        yield size
    reading.pass_parts()
