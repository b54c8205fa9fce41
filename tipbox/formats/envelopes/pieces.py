"""Pieces of a tip (docs/format.md, section 12): each says where it belongs, and can be sent, doubled and lost alone."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import BinaryIO, Final

from tipbox.errors import (
    Incomplete,
    InputRefused,
    LimitExceeded,
    Malformed,
    NotTipbox,
    TrailingData,
    Truncated,
    UnsupportedVersion,
)
from tipbox.formats.base import labels
from tipbox.formats.base.limits import (
    HASH_SIZE,
    KEY_SIZE,
    MAX_HEADER,
    MAX_LETTER,
    MAX_PIECE_PARTS,
    MAX_PIECES,
    TAG_SIZE,
    VERSION,
)
from tipbox.formats.base.primitives import equal, random_bytes, sha256
from tipbox.formats.envelopes.header import PREFIX, Header, Kind, header_size
from tipbox.formats.envelopes.seals import EnvelopeHash

MAGIC: Final = b"\x89tippce\n"
_FIXED: Final = struct.Struct(">8sB3xIIII4x32s")
_MAX_OPENING: Final = MAX_HEADER + MAX_LETTER + TAG_SIZE
_MARK: Final = "bcdfghjkmnpqrstv"
_MARK_SIZE: Final = 6


def new_mark() -> str:
    """A random mark for the file names of one tip: six letters, of nothing that is in the files."""
    return "".join(_MARK[byte % len(_MARK)] for byte in random_bytes(_MARK_SIZE))


@dataclass(frozen=True)
class PieceEnd:
    """What the last piece carries: the Envelope hash (32 bytes) and the trailer."""

    envelope_hash: bytes
    trailer: bytes

    def encode(self) -> bytes:
        """Hash ‖ trailer, as an upload ends."""
        return self.envelope_hash + self.trailer


@dataclass(frozen=True)
class PieceHead:
    """What a piece says before its parts.

    Attributes:
        token: the draft token (32 bytes), one for all pieces of a tip: who holds a piece can add to that upload.
        number: of this piece, from 0.
        count: how many pieces there are.
        parts_each: how many parts each but the last one has.
        opening: header ‖ letter of the Envelope, still sealed; each piece has it, so any may come first.
        part_hashes: SHA-256 of each part that follows.
        end: in the last piece.
    """

    token: bytes = field(repr=False)
    number: int
    count: int
    parts_each: int
    opening: bytes = field(repr=False)
    part_hashes: tuple[bytes, ...] = field(repr=False)
    end: PieceEnd | None = field(default=None, repr=False)

    @cached_property
    def header(self) -> Header:
        """Of the Envelope."""
        return Header.parse(self.opening[: header_size(self.opening)])

    @property
    def letter(self) -> bytes:
        """Of the Envelope, sealed."""
        return self.opening[len(self.header.encoded) :]

    @property
    def first(self) -> int:
        """The number of its first part in the Envelope."""
        return self.number * self.parts_each

    @cached_property
    def family(self) -> bytes:
        """32 bytes that all pieces of one tip have in common, and those of no other."""
        return sha256(labels.PIECE, self._fixed(0), self.opening)

    def _fixed(self, number: int) -> bytes:
        return _FIXED.pack(MAGIC, VERSION, number, self.count, self.parts_each, len(self.opening), self.token)

    def encode(self) -> bytes:
        """The bytes before the parts."""
        head = b"".join(
            [self._fixed(self.number), self.opening, *self.part_hashes, self.end.encode() if self.end else b""]
        )
        return head + sha256(labels.PIECE, head)

    @classmethod
    def read(cls, stream: BinaryIO) -> PieceHead:
        """Read the start of a piece, and no byte more.

        Raises:
            NotTipbox, Truncated, UnsupportedVersion, LimitExceeded, Malformed: it is none, or is damaged.
        """
        fixed = stream.read(_FIXED.size)
        start = fixed[: len(MAGIC)]
        if start != MAGIC[: len(start)]:
            raise NotTipbox
        if len(fixed) < _FIXED.size:
            raise Truncated("the piece ends too early")
        _, version, number, count, parts_each, size, token = _FIXED.unpack(fixed)
        if version != VERSION:
            raise UnsupportedVersion
        if not 1 <= count <= MAX_PIECES or not 1 <= parts_each <= MAX_PIECE_PARTS or size > _MAX_OPENING:
            raise LimitExceeded("the piece is one of more, or larger, than tipbox accepts")
        opening = _exactly(stream, size)
        header = Header.parse(opening[: header_size(opening[:PREFIX])])
        header.expect(Kind.TIP)
        if fixed != _FIXED.pack(MAGIC, VERSION, number, count, parts_each, size, token):
            raise Malformed("reserved bytes of the piece are not zero")
        if size != header.opening_size or number >= count or count != pieces_of(header.parts, parts_each):
            raise Malformed("the piece does not fit the Envelope that it is of")
        parts = min(parts_each, header.parts - number * parts_each)
        hashes = _exactly(stream, HASH_SIZE * parts)
        is_last = number == count - 1
        end = PieceEnd(_exactly(stream, HASH_SIZE), _exactly(stream, header.trailer_size)) if is_last else None
        check = _exactly(stream, HASH_SIZE)
        found = cls(token, number, count, parts_each, opening, tuple(_cut(hashes)), end)
        if not equal(found.encode()[-HASH_SIZE:], check):
            raise Malformed("the start of the piece is damaged")
        return found

    def parts(self, stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
        """The parts behind the head: the number of each in the Envelope, and its bytes; None for a damaged one.

        Raises:
            Incomplete: it ends too early; what came before is good.
            TrailingData: there are bytes after it.
        """
        for index, expected in enumerate(self.part_hashes, self.first):
            part = stream.read(self.header.part_size(index))
            if len(part) < self.header.part_size(index):
                raise Incomplete
            yield index, part if equal(sha256(part), expected) else None
        if stream.read(1):
            raise TrailingData


def pieces_of(parts: int, parts_each: int) -> int:
    """How many pieces a tip of so many parts has; one without a body has one."""
    return max(1, -(-parts // parts_each))


def write_pieces(
    opening: bytes, parts: Iterable[bytes], trailer: Callable[[bytes], bytes], *, token: bytes, parts_each: int
) -> Iterator[tuple[PieceHead, list[bytes]]]:
    """Cut a tip as it is sealed: the head and the parts of one piece after another, one of them in memory at a time.

    Args:
        opening: header ‖ letter.
        parts: the sealed parts.
        trailer: makes it, given the Envelope hash, when all parts were taken.
        token: 32 random bytes.
        parts_each: parts of a piece, 1 to 1,024.

    Raises:
        InputRefused: the pieces would be too many; larger ones are needed.
    """
    header = Header.parse(opening[: header_size(opening)])
    if len(token) != KEY_SIZE or not 1 <= parts_each <= MAX_PIECE_PARTS:
        raise ValueError("a draft token has 32 bytes, a piece 1 to 1,024 parts")
    count = pieces_of(header.parts, parts_each)
    if count > MAX_PIECES:
        raise InputRefused(f"cutting into pieces: there would be more than {MAX_PIECES:,}; choose a larger size")
    found = EnvelopeHash(header.encoded, opening[len(header.encoded) :])
    source = iter(parts)
    for number in range(count):
        taken = list(islice(source, min(parts_each, header.parts - number * parts_each)))
        hashes = tuple(map(sha256, taken))
        found.add_hashes(b"".join(hashes))
        if number == count - 1 and next(source, None) is not None:  # asked: whoever makes them then knows their end
            raise ValueError("there are more parts than the header says")
        end = PieceEnd(found.digest(), trailer(found.digest())) if number == count - 1 else None
        yield PieceHead(token, number, count, parts_each, opening, hashes, end), taken


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise Truncated("the piece ends too early")
    return data


def _cut(hashes: bytes) -> Iterator[bytes]:
    return (hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE))
