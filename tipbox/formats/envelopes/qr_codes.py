"""An Envelope of text as a set of QR codes (docs/format.md, section 15): any of them may be lost, up to a number.

A desk only reads them; the offline page makes them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tipbox.errors import Incomplete, LimitExceeded, Malformed, NotTipbox, TrailingData, Truncated, UnsupportedVersion
from tipbox.formats.base import labels
from tipbox.formats.base.limits import (
    ID_SIZE,
    MAX_QR_BLOCKS,
    MAX_QR_CODES,
    MAX_QR_ENVELOPE,
    QR_BLOCK,
    QR_CODE,
    VERSION,
)
from tipbox.formats.base.primitives import equal, sha256

MAGIC: Final = b"\x89tipqrc\n"
_HEAD: Final = struct.Struct(">8sBBBBI16s")


@dataclass(frozen=True)
class QrSet:
    """What all codes of one Envelope say alike.

    Attributes:
        data: how many of its codes carry the Envelope's own bytes; as many codes, whichever, are enough.
        parity: how many more there are.
        size: of the Envelope, in bytes.
        ident: 16 bytes of a hash of all of this and of the Envelope.
    """

    data: int
    parity: int
    size: int
    ident: bytes

    @property
    def count(self) -> int:
        """How many codes there are."""
        return self.data + self.parity

    @classmethod
    def of(cls, envelope: bytes, parity: int) -> QrSet:
        """The set of an Envelope's bytes."""
        data = -(-len(envelope) // QR_BLOCK)
        said = struct.pack(">BBI", data, parity, len(envelope))
        return cls(data, parity, len(envelope), sha256(labels.QR_SET, said, envelope)[:ID_SIZE])


@dataclass(frozen=True)
class QrCode:
    """The bytes in one QR code: which of its set it is, and its block of 1,000 bytes."""

    of: QrSet
    number: int
    block: bytes = field(repr=False)

    def encode(self) -> bytes:
        """As they stand in the picture, in one segment of bytes."""
        head = _HEAD.pack(
            MAGIC, VERSION, self.number, self.of.data, self.of.parity, self.of.size, self.of.ident
        )  # fmt: skip
        return head + self.block + sha256(labels.QR_CODE, head, self.block)[:ID_SIZE]

    @classmethod
    def parse(cls, code: bytes) -> QrCode:
        """Read the bytes of one QR code.

        Raises:
            NotTipbox, Truncated, UnsupportedVersion, LimitExceeded, Malformed, TrailingData: they are none, or damaged.
        """
        start = code[: len(MAGIC)]
        if start != MAGIC[: len(start)]:
            raise NotTipbox
        if len(code) < QR_CODE:
            raise Truncated("the QR code has too few bytes")
        _, version, number, data, parity, size, ident = _HEAD.unpack_from(code)
        if version != VERSION:
            raise UnsupportedVersion
        if not (1 <= data <= MAX_QR_BLOCKS and data + parity <= MAX_QR_CODES and 1 <= size <= MAX_QR_ENVELOPE):
            raise LimitExceeded("the QR code is one of more than tipbox accepts")
        if data != -(-size // QR_BLOCK) or number >= data + parity:
            raise Malformed("the QR code does not fit its set")
        if len(code) > QR_CODE:
            raise TrailingData
        found = cls(QrSet(data, parity, size, ident), number, code[_HEAD.size : _HEAD.size + QR_BLOCK])
        if not equal(found.encode()[-ID_SIZE:], code[-ID_SIZE:]):
            raise Malformed("the QR code is damaged")
        return found


def join_qr_codes(of: QrSet, blocks: Mapping[int, bytes]) -> bytes:
    """The Envelope of a set, from any ``of.data`` of its blocks by their numbers.

    Raises:
        Incomplete: there are fewer blocks than that.
        Malformed: what they give is not what the set is of; somebody made some of them anew.
    """
    if len(blocks) < of.data:
        raise Incomplete
    # The Envelope's own first: where all of them are there, nothing is left to compute.
    taken = sorted(blocks)[: of.data]
    own = dict(zip(taken, (blocks[number] for number in taken), strict=True))
    if taken[-1] >= of.data:
        own |= _restored(of, own)
    padded = b"".join(own[number] for number in range(of.data))
    envelope, padding = padded[: of.size], padded[of.size :]
    if any(padding) or not equal(QrSet.of(envelope, of.parity).ident, of.ident):
        raise Malformed("the QR codes do not give what they are said to be of")
    return envelope


def _restored(of: QrSet, known: Mapping[int, bytes]) -> dict[int, bytes]:
    """The Envelope's own blocks that are missing, by Reed-Solomon over each place of a block."""
    from reedsolo import RSCodec  # only a desk has it

    codec = RSCodec(of.parity, fcr=0, prim=0x11D, generator=2)
    missing = [number for number in range(of.data) if number not in known]
    erased = [number for number in range(of.count) if number not in known]
    columns = zip(*(known.get(number, bytes(QR_BLOCK)) for number in range(of.count)), strict=True)
    # With as many erased as there are parity blocks, every column is one of the code: nothing is guessed.
    whole = [codec.decode(bytes(column), erase_pos=erased, only_erasures=True)[0] for column in columns]
    return {number: bytes(column[number] for column in whole) for number in missing}
